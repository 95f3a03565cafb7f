package images

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/images/change"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
)

// CommitSpec says what becomes of a container's changes.
type CommitSpec struct {
	ImageID    string            // that the container stands on
	Container  *container.Config // its configuration
	Config     *container.Config // in place of that; nil for none
	Changes    []string          // Dockerfile lines
	Author     string
	Comment    string
	Repository string // "" for no name
	Tag        string
}

// Commit makes an image of the image that a container stands on and the tar of
// its changes, and gives its id and name. Both are durable then. A container that
// has changed nothing makes an image without a further layer.
func (i *Images) Commit(ctx context.Context, c CommitSpec, changes io.Reader) (id, name string, err error) {
	defer i.collectSoon()
	config, err := commitConfig(c)
	if err != nil {
		return "", "", err
	}
	var names []string
	if c.Repository != "" {
		canonical, err := newName(c.Repository, c.Tag, "refusing to create a tag with a digest reference")
		if err != nil {
			return "", "", err
		}
		names, name = []string{canonical}, familiarName(canonical)
	}
	parent := i.store.Snapshot().ByID(digest.Digest(c.ImageID))
	if parent == nil {
		return "", "", errs.NotFound("No such image: %s", c.ImageID)
	}
	if err := usable(parent); err != nil {
		return "", "", err
	}
	diffID, lease, err := i.store.Add(ctx, parent.Chain, changes)
	if err != nil {
		return "", "", err
	}
	defer func() { lease.Release() }()
	empty := diffID == emptyTar
	if empty {
		lease.Release()
		if lease, err = i.store.Lease(parent); err != nil {
			lease = &store.Lease{}
			return "", "", err
		}
	}
	now := i.Clock.Now().UTC()
	data, err := json.Marshal(child(parent, c, config, diffID, empty, now))
	if err != nil {
		return "", "", err
	}
	n := store.NewImage{Config: data, Names: names, Parent: parent.ID}
	if len(names) > 0 {
		n.LastTagged = now
	}
	published, err := i.store.Publish(n, lease)
	if err != nil {
		return "", "", err
	}
	id = published.Image.ID.String()
	i.tell(events.ActionCreate, id, published.Image, id)
	if name != "" {
		i.tell(events.ActionTag, id, published.Image, name)
	}
	return id, name, nil
}

// emptyTar is the shortest tar: what a container that changed nothing makes.
var emptyTar = digest.FromBytes(make([]byte, 1024))

// child is the config of the image that is made of a parent and a container.
func child(parent *store.Image, c CommitSpec, config dockerspec.DockerOCIImageConfig, diffID digest.Digest, empty bool, now time.Time) dockerspec.DockerOCIImage {
	img := parent.Config
	img.Created, img.Author, img.Config = &now, c.Author, config
	img.RootFS.DiffIDs = slices.Clone(img.RootFS.DiffIDs)
	if !empty {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, diffID)
	}
	img.History = append(slices.Clone(img.History), ocispec.History{
		Created: &now, CreatedBy: strings.Join(c.Container.Cmd, " "), Author: c.Author, Comment: c.Comment, EmptyLayer: empty,
	})
	return img
}

// commitConfig is what the new image says of its containers: what is asked for,
// changed by the lines, and where that says nothing the container's own.
func commitConfig(c CommitSpec) (dockerspec.DockerOCIImageConfig, error) {
	own := imageConfig(c.Container)
	config := own
	if c.Config != nil {
		config = imageConfig(c.Config)
	}
	if err := change.Apply(&config, c.Changes); err != nil {
		return config, err
	}
	inherit(&config, own)
	return config, nil
}

// imageConfig is the part of a container's configuration that an image can have.
func imageConfig(c *container.Config) dockerspec.DockerOCIImageConfig {
	var out dockerspec.DockerOCIImageConfig
	out.User, out.WorkingDir, out.StopSignal, out.Healthcheck = c.User, c.WorkingDir, c.StopSignal, c.Healthcheck
	out.Env, out.Cmd, out.Entrypoint = slices.Clone(c.Env), slices.Clone(c.Cmd), slices.Clone(c.Entrypoint)
	out.OnBuild, out.Shell = slices.Clone(c.OnBuild), slices.Clone(c.Shell)
	out.Volumes, out.Labels, out.ArgsEscaped = maps.Clone(c.Volumes), maps.Clone(c.Labels), c.ArgsEscaped
	for port := range c.ExposedPorts {
		if out.ExposedPorts == nil {
			out.ExposedPorts = map[string]struct{}{}
		}
		out.ExposedPorts[port.String()] = struct{}{}
	}
	return out
}

// inherit fills in what c does not say, as Docker does for an image's child.
func inherit(c *dockerspec.DockerOCIImageConfig, from dockerspec.DockerOCIImageConfig) {
	if c.User == "" {
		c.User = from.User
	}
	if c.WorkingDir == "" {
		c.WorkingDir = from.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = from.StopSignal
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = from.Cmd
		}
		if c.Entrypoint == nil {
			c.Entrypoint = from.Entrypoint
		}
	}
	for _, kv := range from.Env {
		key, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(c.Env, func(have string) bool { k, _, _ := strings.Cut(have, "="); return k == key }) {
			c.Env = append(c.Env, kv)
		}
	}
	c.ExposedPorts = union(c.ExposedPorts, from.ExposedPorts)
	c.Volumes = union(c.Volumes, from.Volumes)
	c.Labels = union(c.Labels, from.Labels)
	inheritHealth(c, from.Healthcheck)
}

func inheritHealth(c *dockerspec.DockerOCIImageConfig, from *dockerspec.HealthcheckConfig) {
	switch {
	case from == nil:
		return
	case c.Healthcheck == nil:
		c.Healthcheck = from
		return
	}
	h := *c.Healthcheck
	if len(h.Test) == 0 {
		h.Test = from.Test
	}
	for _, pair := range [][2]*time.Duration{{&h.Interval, &from.Interval}, {&h.Timeout, &from.Timeout}, {&h.StartPeriod, &from.StartPeriod}, {&h.StartInterval, &from.StartInterval}} {
		if *pair[0] == 0 {
			*pair[0] = *pair[1]
		}
	}
	if h.Retries == 0 {
		h.Retries = from.Retries
	}
	c.Healthcheck = &h
}

// union has what is in either; a says what b says otherwise.
func union[V any](a, b map[string]V) map[string]V {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}
