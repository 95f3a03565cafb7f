package containers

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// restart stops a container if it runs, and starts it. AutoRemove does not
// remove it in between.
func (c *Containers) restart(ctx context.Context, _ *engine.Job, in jobs.RestartIn) (jobs.RestartOut, error) {
	none := jobs.RestartOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	if in.Signal != "" {
		if _, err := request.ParseSignal(in.Signal); err != nil {
			return none, err
		}
	}
	if ct.Snapshot().State.Running {
		ct.keep(1)
		err := c.stopNow(ctx, ct, in.Signal, in.Timeout)
		ct.keep(-1)
		if err != nil {
			return none, err
		}
	}
	if err := c.startNow(ctx, ct); err != nil && !errdefs.IsNotModified(err) {
		return none, inDockersWords("Cannot restart container %s: %w", in.Container, err)
	}
	c.event(ct.Snapshot(), events.ActionRestart)
	return none, nil
}
