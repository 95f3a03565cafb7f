package containers

import (
	"context"
	"errors"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// unpause lets the processes of a paused container go on.
func (c *Containers) unpause(ctx context.Context, _ *engine.Job, in jobs.UnpauseIn) (jobs.UnpauseOut, error) {
	none := jobs.UnpauseOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	return none, c.thaw(ctx, ct)
}

func (c *Containers) thaw(ctx context.Context, ct *Container) error {
	unlock, err := ct.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if s := ct.Snapshot().State; !s.Running || !s.Paused {
		return errs.Conflict("Container %s is not paused", ct.id)
	}
	if err := c.runtime.Resume(ctx, ct.id); errors.Is(err, ErrNotRunning) || errors.Is(err, ErrAbsent) {
		return errs.Conflict("Container %s is not paused", ct.id)
	} else if err != nil {
		return inDockersWords("Cannot unpause container %s: %w", ct.id, err)
	}
	s := ct.update(func(s *Snapshot) { s.State.Paused = false })
	if err := c.saveUnsynced(ct); err != nil {
		c.log.Errorf("container %s: record of the end of the pause: %v", ct.id, err)
	}
	c.event(s, events.ActionUnPause)
	return nil
}
