package builtins

import (
	"context"
	"io"

	api "github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers"
	"github.com/jobengine/engine/events"
	"github.com/jobengine/engine/images"
	"github.com/jobengine/engine/networks"
)

// Adapters between nouns: what one lists in its needs.go, made of what another offers.

// imageUsers tells images which containers stand on them. The containers come
// later, since they need the images to be there.
type imageUsers struct{ *containers.Containers }

func (u *imageUsers) UsingImage(imageID string) []images.Use {
	if u.Containers == nil {
		return nil
	}
	var uses []images.Use
	for _, use := range u.Containers.UsingImage(imageID) {
		uses = append(uses, images.Use(use))
	}
	return uses
}

// imageSource gives containers what they are made of.
type imageSource struct{ *images.Images }

func (s imageSource) Lookup(ctx context.Context, ref, platform string) (containers.Image, error) {
	img, err := s.Images.Lookup(ctx, ref, platform)
	return containers.Image{ID: img.ID, SizeBytes: img.SizeBytes, Config: img.Config, Warning: img.Warning}, err
}

func (s imageSource) Commit(ctx context.Context, c containers.CommitSpec, changes io.Reader) (id, name string, err error) {
	return s.Images.Commit(ctx, images.CommitSpec(c), changes)
}

// containerEvents is the bus as containers see it: when one of them is gone, so
// may be layers that images kept for it.
type containerEvents struct {
	*events.Events
	images *images.Images
}

func (e containerEvents) Log(typ api.Type, action api.Action, id string, attributes map[string]string) {
	e.Events.Log(typ, action, id, attributes)
	if typ == api.ContainerEventType && action == api.ActionDestroy {
		e.images.ContainerRemoved(attributes["image"])
	}
}

// containerCounts tells the noun system about the containers.
type containerCounts struct{ *containers.Containers }

func (c containerCounts) Counts() (running, paused, stopped int) {
	n := c.Count()
	return n.Running, n.Paused, n.Stopped
}

// containerNetworks are the networks as containers see them.
type containerNetworks struct{ *networks.Networks }

func (n containerNetworks) Allocate(ctx context.Context, r containers.NetworkRequest) error {
	return n.Networks.Allocate(ctx, networks.Request(r))
}
