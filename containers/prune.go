package containers

import (
	"context"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// prune removes the containers that do not run. One that cannot be removed is
// logged and left; it needs no space on the disk.
func (c *Containers) prune(ctx context.Context, _ *engine.Job, in jobs.ContainerPruneIn) (out jobs.ContainerPruneOut, err error) {
	if err := in.Filters.Check("label", "label!", "until"); err != nil {
		return out, err
	}
	until, err := in.Filters.Until(time.Now())
	if err != nil {
		return out, err
	}
	if !c.pruning.TryLock() {
		return out, errs.Conflict("a prune operation is already running")
	}
	defer c.pruning.Unlock()
	for _, ct := range c.index.all() {
		s := ct.Snapshot()
		if s.State.Running || s.State.Restarting || s.State.Removing || !in.Filters.Pruned(s.Created, until, s.Config.Labels) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		size, _ := c.graph.DiffSize(ctx, ct.id) // what is damaged has none
		switch err := c.remove(context.WithoutCancel(ctx), ct, removal{}); {
		case err == nil:
			out.ContainersDeleted = append(out.ContainersDeleted, ct.id)
			out.SpaceReclaimed += uint64(max(size, 0))
		case !errdefs.IsConflict(err) && !errdefs.IsNotFound(err):
			c.log.Warnf("container %s: prune: %v; remove it by hand", ct.id, err)
		}
	}
	c.events.Log(events.ContainerEventType, events.ActionPrune, "", map[string]string{"reclaimed": strconv.FormatUint(out.SpaceReclaimed, 10)})
	return out, nil
}
