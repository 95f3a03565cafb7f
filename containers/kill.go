package containers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// killPatience is how long a container may take to end after SIGKILL before
// that is an error; more than a busy machine needs.
const killPatience = 30 * time.Second

// kill sends a signal to a container. SIGKILL is waited for.
func (c *Containers) kill(ctx context.Context, _ *engine.Job, in jobs.KillIn) (jobs.KillOut, error) {
	none := jobs.KillOut{}
	sig := syscall.SIGKILL
	if in.Signal != "" {
		var err error
		if sig, err = request.ParseSignal(in.Signal); err != nil {
			return none, err
		}
	}
	ct, err := c.find(in.Container)
	if err == nil {
		err = request.CheckSignal(sig)
	}
	if err != nil {
		return none, inDockersWords("Cannot kill container: %s: %w", in.Container, err)
	}
	if !ct.Snapshot().State.Running {
		return none, errs.Conflict("Cannot kill container: %s: Container %s is not running", in.Container, ct.id)
	}
	s := ct.Snapshot()
	if sig == syscall.SIGKILL || sig == stopSignal(s) {
		if c.stoppedByUser(ct) {
			return none, nil
		}
	}
	if err := c.signal(ctx, ct, sig); errors.Is(err, ErrNotRunning) {
		return none, errs.Conflict("Cannot kill container: %s: Container %s is not running", in.Container, ct.id)
	} else if err != nil {
		return none, inDockersWords("Cannot kill container: %s: %w", in.Container, err)
	}
	if sig == syscall.SIGKILL {
		ctx, cancel := context.WithTimeout(ctx, killPatience)
		defer cancel()
		if _, err := ct.await(ctx, ended(s)); err != nil {
			return none, inDockersWords("Cannot kill container: %s: it has not ended: %w", in.Container, err)
		}
		c.awaitRemoval(ctx, ct)
	}
	return none, nil
}

// ended says when the run that was is over.
func ended(was *Snapshot) func(*Snapshot) bool {
	return func(now *Snapshot) bool {
		return !now.State.Running || now.Runs != was.Runs || now.State.Removed
	}
}

// signal sends a signal and tells the event. A paused container gets to see a
// signal that is to end it.
func (c *Containers) signal(ctx context.Context, ct *Container, sig syscall.Signal) error {
	s := ct.Snapshot()
	err := c.runtime.Signal(ctx, ct.id, sig)
	if errors.Is(err, ErrAbsent) {
		err = fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return err
	}
	if s.State.Paused && (sig == syscall.SIGKILL || sig == stopSignal(s)) {
		// The driver may have woken it already, or it may be gone: whoever waits for the end will see.
		if err := c.runtime.Resume(ctx, ct.id); err != nil {
			c.log.Debugf("container %s: resume after signal %d: %v", ct.id, sig, err)
		}
		ct.update(func(s *Snapshot) { s.State.Paused = false })
	}
	c.event(s, events.ActionKill, "signal", strconv.Itoa(int(sig)))
	return nil
}

// stoppedByUser remembers that the end of a container was wanted, so that no
// policy starts it again. It tells whether that was all there was to do, as the
// container was only waiting to be started again.
func (c *Containers) stoppedByUser(ct *Container) (done bool) {
	s := ct.update(func(s *Snapshot) { s.ManualStop = true })
	done = c.cancelRestart(ct)
	if s.HostConfig.RestartPolicy.IsNone() {
		return done // it is written with the exit
	}
	if err := c.save(ct); err != nil {
		c.log.Errorf("container %s: record of the stop: %v", ct.id, err)
	}
	return done
}
