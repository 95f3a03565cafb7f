package containers

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// stop asks a container to end, and kills it when it does not in time.
func (c *Containers) stop(ctx context.Context, _ *engine.Job, in jobs.StopIn) (jobs.StopOut, error) {
	none := jobs.StopOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	if !ct.Snapshot().State.Running {
		return none, errs.NotModified("container %s is already stopped", in.Container)
	}
	if err := c.stopNow(ctx, ct, in.Signal, in.Timeout); err != nil {
		return none, err
	}
	return none, nil
}

// stopNow stops a running container. Signal "" and a nil timeout are the container's own.
func (c *Containers) stopNow(ctx context.Context, ct *Container, signal string, timeout *int) error {
	s := ct.Snapshot()
	sig := stopSignal(s)
	if signal != "" {
		var err error
		if sig, err = request.ParseSignal(signal); err == nil {
			err = request.CheckSignal(sig)
		}
		if err != nil {
			return err
		}
	}
	if c.stoppedByUser(ct) {
		c.event(s, events.ActionStop)
		return nil
	}
	if err := c.endRun(ctx, ct, s, sig, c.patience(s, timeout)); err != nil {
		return fmt.Errorf("cannot stop container: %s: %w", s.Name, err)
	}
	c.event(s, events.ActionStop)
	c.awaitRemoval(ctx, ct)
	return nil
}

// awaitRemoval waits until a container with AutoRemove that has ended is gone,
// so that whoever stopped it can use its name again. A removal that does not come
// to an end is not this caller's trouble.
func (c *Containers) awaitRemoval(ctx context.Context, ct *Container) {
	s := ct.Snapshot()
	if !s.HostConfig.AutoRemove || s.State.Running || ct.isKept() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	_, _ = ct.await(ctx, func(now *Snapshot) bool {
		return now.State.Removed || now.State.Running || now.State.RemoveFailures > s.State.RemoveFailures
	})
}

// endRun sends sig, and SIGKILL when patience is over.
func (c *Containers) endRun(ctx context.Context, ct *Container, s *Snapshot, sig syscall.Signal, patience time.Duration) error {
	if c.cancelRestart(ct) {
		return nil
	}
	over := ended(s)
	err := c.signal(ctx, ct, sig)
	if err != nil && !errors.Is(err, ErrNotRunning) {
		c.log.Warnf("container %s: signal %d: %v; killing it", ct.id, sig, err)
		patience = 0
	}
	gently, cancel := ctx, context.CancelFunc(func() {})
	if patience >= 0 {
		gently, cancel = context.WithTimeout(ctx, patience)
	}
	_, err = ct.await(gently, over)
	cancel()
	if err == nil {
		return nil
	}
	// A client that hangs up while it waits does not call the stop off, but hastens nothing either.
	ctx = context.WithoutCancel(ctx)
	if gently.Err() != nil && !errors.Is(gently.Err(), context.DeadlineExceeded) {
		return err
	}
	if err := c.signal(ctx, ct, syscall.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, killPatience)
	defer cancel()
	if _, err := ct.await(ctx, over); err != nil {
		return fmt.Errorf("it has not ended after SIGKILL: %w", err)
	}
	return nil
}

// patience is how long a container may take to end; below 0 is for ever.
func (c *Containers) patience(s *Snapshot, timeout *int) time.Duration {
	seconds := c.cfg.StopTimeout
	if s.Config.StopTimeout != nil {
		seconds = *s.Config.StopTimeout
	}
	if timeout != nil {
		seconds = *timeout
	}
	return time.Duration(seconds) * time.Second
}
