package containers

import (
	"context"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// changes lists what a container has changed in its file system.
func (c *Containers) changes(ctx context.Context, _ *engine.Job, in jobs.ContainerChangesIn) (out jobs.ContainerChangesOut, err error) {
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	list, err := c.graph.Changes(ctx, ct.id)
	if err == nil {
		err = ct.stillWhole()
	}
	if err != nil {
		return out, err
	}
	for _, change := range list {
		out.Changes = append(out.Changes, container.FilesystemChange{Kind: container.ChangeType(change.Kind), Path: change.Path})
	}
	return out, nil
}
