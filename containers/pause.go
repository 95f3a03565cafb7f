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
	return none, c.freeze(ctx, ct, false)
}

// freeze pauses it, for the user or for a commit. Nobody pauses for ever what nobody was told of:
// that it is about to be frozen is written down before.
func (c *Containers) freeze(ctx context.Context, ct *Container, forCommit bool) error {
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
	c.setPause(ct, func(s *State) { s.Thaw = true })
	if err := c.runtime.Pause(ctx, ct.id); err != nil {
		c.setPause(ct, func(s *State) { s.Thaw = false })
		return pauseError(ct, err)
	}
	c.event(c.setPause(ct, func(s *State) { s.Paused, s.Thaw = true, forCommit }), events.ActionPause)
	return nil
}

// setPause changes what is known of a pause, and writes it down.
func (c *Containers) setPause(ct *Container, change func(*State)) *Snapshot {
	s := ct.update(func(s *Snapshot) { change(&s.State) })
	if err := c.saveUnsynced(ct); err != nil {
		c.log.Errorf("container %s: record of a pause: %v", ct.id, err)
	}
	return s
}

func pauseError(ct *Container, err error) error {
	if errors.Is(err, ErrUnsupported) {
		return errs.NotImplemented("Cannot pause container %s: %v", ct.id, err)
	} else if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrAbsent) { // its end is on its way to us
		return errs.Conflict("Container %s is not running", ct.id)
	}
	return inDockersWords("Cannot pause container %s: %w", ct.id, err)
}
