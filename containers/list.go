package containers

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/show"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// containers lists containers, newest first. It looks at snapshots only: a
// container that hangs somewhere holds up no list, unless sizes are asked for.
func (c *Containers) containers(ctx context.Context, _ *engine.Job, in jobs.ContainersIn) (jobs.ContainersOut, error) {
	snaps := c.List()
	linked := c.linkNames(snaps)
	images := show.Images{Lookup: func(ref string) (show.Image, error) {
		img, err := c.images.Lookup(ctx, ref, "")
		return show.Image{ID: img.ID, Config: img.Config}, err
	}}
	pick, err := show.NewSelection(in, snaps, source{c}, &images)
	if err != nil {
		return jobs.ContainersOut{}, err
	}
	out := jobs.ContainersOut{Containers: []container.Summary{}}
	now := time.Now()
	for i, s := range snaps {
		if !pick.Wants(i, s) {
			continue
		}
		row := show.Row(s, now, images.Shown(s), c.endpoints(s), c.portMap(s))
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

// source answers what a list asks.
type source struct{ c *Containers }

func (f source) Find(ref string) (string, error) {
	ct, err := f.c.find(ref)
	if err != nil {
		return "", err
	}
	return ct.id, nil
}

func (f source) Endpoints(s *Snapshot) map[string]*network.EndpointSettings { return f.c.endpoints(s) }

func (f source) Ports(s *Snapshot) network.PortMap { return f.c.portMap(s) }
