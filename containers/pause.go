package containers

import (
	"context"
	"errors"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// pause freezes all processes of a container.
func (c *Containers) pause(ctx context.Context, _ *engine.Job, in jobs.PauseIn) (jobs.PauseOut, error) {
	none := jobs.PauseOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	return none, c.freeze(ctx, ct)
}

func (c *Containers) freeze(ctx context.Context, ct *Container) error {
	unlock, err := ct.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	switch s := ct.Snapshot().State; {
	case !s.Running:
		return errs.Conflict("Container %s is not running", ct.id)
	case s.Restarting:
		return errs.Conflict("Container %s is restarting, wait until the container is running", ct.id)
	case s.Paused:
		return errs.Conflict("Container %s is already paused", ct.id)
	}
	if err := c.runtime.Pause(ctx, ct.id); errors.Is(err, ErrUnsupported) {
		return errs.NotImplemented("Cannot pause container %s: %v", ct.id, err)
	} else if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrAbsent) { // its end is on its way to us
		return errs.Conflict("Container %s is not running", ct.id)
	} else if err != nil {
		return inDockersWords("Cannot pause container %s: %w", ct.id, err)
	}
	s := ct.update(func(s *Snapshot) { s.State.Paused = true })
	if err := c.saveUnsynced(ct); err != nil {
		c.log.Errorf("container %s: record of the pause: %v", ct.id, err)
	}
	c.event(s, events.ActionPause)
	return nil
}
