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
	c.setPause(ct, func(s *State) { s.Thaw = true })
	if err := c.runtime.Resume(ctx, ct.id); err != nil {
		c.setPause(ct, func(s *State) { s.Thaw = false })
		if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrAbsent) {
			return errs.Conflict("Container %s is not paused", ct.id)
		}
		return inDockersWords("Cannot unpause container %s: %w", ct.id, err)
	}
	c.event(c.setPause(ct, func(s *State) { s.Paused, s.Thaw = false, false }), events.ActionUnPause)
	return nil
}
