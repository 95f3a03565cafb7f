package containers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// containers lists containers, newest first. It looks at snapshots only: a
// container that hangs somewhere holds up no list, unless sizes are asked for.
func (c *Containers) containers(ctx context.Context, _ *engine.Job, in jobs.ContainersIn) (jobs.ContainersOut, error) {
	snaps := c.List()
	linked := c.linkNames(snaps)
	names := imageNames{ctx: ctx, images: c.images}
	pick, err := c.newSelection(in, snaps, &names)
	if err != nil {
		return jobs.ContainersOut{}, err
	}
	out := jobs.ContainersOut{Containers: []container.Summary{}}
	now := time.Now()
	for i, s := range snaps {
		if !pick.wants(i, s) {
			continue
		}
		row := c.summary(s, now, names.of(s))
		row.Names = append(row.Names, linked[s.ID]...)
		if in.Size {
			size, err := c.sizes(ctx, s)
			if ctx.Err() != nil {
				return jobs.ContainersOut{}, ctx.Err()
			}
			if err == nil { // else it is being removed
				row.SizeRw, row.SizeRootFs = size.Rw, size.RootFs
			}
		}
		out.Containers = append(out.Containers, row)
		if in.Limit > 0 && len(out.Containers) == in.Limit {
			break
		}
	}
	return out, nil
}

func (c *Containers) summary(s *Snapshot, now time.Time, image string) container.Summary {
	row := container.Summary{
		ID:      s.ID,
		Names:   []string{"/" + s.Name},
		Image:   image,
		ImageID: s.ImageID,
		Command: command(s.Path, s.Args),
		Created: s.Created.Unix(),
		Ports:   c.ports(s),
		Labels:  maps.Clone(s.Config.Labels),
		State:   s.State.Status(),
		Status:  statusText(s.State, now),
		Health:  &container.HealthSummary{Status: container.NoHealthcheck},
		Mounts:  slices.Clone(s.Mounts),
		NetworkSettings: &container.NetworkSettingsSummary{
			Networks: summaries(c.endpoints(s)),
		},
	}
	if row.Labels == nil {
		row.Labels = map[string]string{}
	}
	if row.Mounts == nil {
		row.Mounts = []container.MountPoint{}
	}
	row.HostConfig.NetworkMode = string(s.HostConfig.NetworkMode)
	row.HostConfig.Annotations = s.HostConfig.Annotations
	return row
}

// command is what ps shows: the program and its arguments, those with spaces quoted.
func command(path string, args []string) string {
	var b strings.Builder
	b.WriteString(path)
	for _, arg := range args {
		b.WriteByte(' ')
		if strings.Contains(arg, " ") {
			b.WriteByte('\'')
			b.WriteString(arg)
			b.WriteByte('\'')
		} else {
			b.WriteString(arg)
		}
	}
	return b.String()
}

// imageNames tells by which name ps shows a container's image, and asks for
// each name once.
type imageNames struct {
	ctx    context.Context
	images Images
	ids    map[string]string
}

// of is the name that the container was created with, or the image's id once
// the name stands for another image.
func (n *imageNames) of(s *Snapshot) string {
	if s.Config.Image == "" || s.Config.Image == s.ImageID || n.id(s.Config.Image) == s.ImageID {
		return s.Config.Image
	}
	return s.ImageID
}

// id is the id of the image that a name stands for now, "" for none.
func (n *imageNames) id(name string) string {
	id, ok := n.ids[name]
	if !ok {
		if img, err := n.images.Lookup(n.ctx, name, ""); err == nil {
			id = img.ID
		}
		if n.ids == nil {
			n.ids = make(map[string]string)
		}
		n.ids[name] = id
	}
	return id
}
