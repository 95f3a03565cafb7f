package images

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/storage"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/jobs"
)

func (i *Images) inspect(ctx context.Context, _ *engine.Job, in jobs.ImageInspectIn) (jobs.ImageInspectOut, error) {
	img, err := i.findFor(in.Image, in.Platform)
	if err != nil {
		return jobs.ImageInspectOut{}, err
	}
	c := img.Config
	out := jobs.ImageInspectOut{ParentID: img.Parent.String(), DockerVersion: img.Docker, InspectResponse: image.InspectResponse{
		ID:           img.ID.String(),
		Comment:      comment(img),
		Author:       c.Author,
		Config:       &c.Config,
		Architecture: c.Architecture,
		Variant:      c.Variant,
		Os:           c.OS,
		OsVersion:    c.OSVersion,
		Size:         img.SizeBytes,
		RootFS:       image.RootFS{Type: c.RootFS.Type},
		Metadata:     image.Metadata{LastTagTime: img.LastTagged},
	}}
	out.RepoTags, out.RepoDigests = img.Tags, img.Digests
	if c.Created != nil {
		out.Created = c.Created.Format(time.RFC3339Nano)
	}
	for _, diffID := range c.RootFS.DiffIDs {
		out.RootFS.Layers = append(out.RootFS.Layers, diffID.String())
	}
	out.GraphDriver = i.driverData(ctx, img)
	if in.Builder {
		out.Container, out.ContainerConfig = i.builder(img)
	}
	return out, nil
}

// builder is what docker's former builder left in an image's config: the
// container that was committed, and its configuration.
func (i *Images) builder(img *store.Image) (id string, config *container.Config) {
	var left struct {
		Container string            `json:"container"`
		Config    *container.Config `json:"container_config"`
	}
	// No one has to be able to read it: nothing but clients of old shows it.
	if data, err := i.store.RawConfig(img); err != nil || json.Unmarshal(data, &left) != nil {
		return "", nil
	}
	return left.Container, left.Config
}

// driverData is what the graph driver says of the uppermost layer.
func (i *Images) driverData(ctx context.Context, img *store.Image) *storage.DriverData {
	data := &storage.DriverData{Name: i.GraphDriver, Data: map[string]string{}}
	if layers := i.store.Layers(img); len(layers) > 0 {
		// An image that is being removed right now has no such facts any more.
		if facts, err := i.Graph.Metadata(ctx, layers[len(layers)-1].GraphID); err == nil && facts != nil {
			data.Data = facts
		}
	}
	return data
}

// comment is the image's own, or that of its last step.
func comment(img *store.Image) string {
	if h := img.Config.History; img.Comment == "" && len(h) > 0 {
		return h[len(h)-1].Comment
	}
	return img.Comment
}
