package containers

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/jobs"
)

// rm removes a container with its layer, log and volumes.
func (c *Containers) rm(ctx context.Context, _ *engine.Job, in jobs.RmIn) (jobs.RmOut, error) {
	none := jobs.RmOut{}
	if in.RemoveLink {
		return none, c.rmLink(context.WithoutCancel(ctx), in.Container)
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	return none, c.remove(context.WithoutCancel(ctx), ct, removal{force: in.Force})
}

// removal says how a container is removed.
type removal struct {
	force bool // kill it if it runs
}

// remove removes a container. The record says first that it is being removed, so
// that a removal which is cut off is finished at the next boot.
func (c *Containers) remove(ctx context.Context, ct *Container, how removal) error {
	if err := c.beginRemoval(ct, how); err != nil {
		return err
	}
	err := c.finishRemoval(ctx, ct)
	if err != nil {
		ct.update(func(s *Snapshot) {
			s.State.Removing = false
			s.State.Dead = true
			s.State.RemoveError = err.Error()
			s.State.RemoveFailures++
		})
		return fmt.Errorf("container %s: %w", ct.id, err)
	}
	return nil
}

// beginRemoval marks the container, which only one removal can do.
func (c *Containers) beginRemoval(ct *Container, how removal) error {
	_, err := ct.tryUpdate(func(s *Snapshot) error {
		switch {
		case s.State.Removed:
			return errs.NotFound("No such container: %s", ct.id)
		case s.State.Removing:
			return errs.Conflict("removal of container %s is already in progress", s.Name)
		case s.State.Running && !how.force && s.State.Paused:
			return errs.Conflict("You cannot remove a paused container %s. Unpause and then stop the container before attempting removal or force remove", ct.id)
		case s.State.Restarting && !how.force:
			return errs.Conflict("You cannot remove a restarting container %s. Stop the container before attempting removal or force remove", ct.id)
		case s.State.Running && !how.force:
			return errs.Conflict("You cannot remove a running container %s. Stop the container before attempting removal or force remove", ct.id)
		}
		s.State.Removing = true
		return nil
	})
	return err
}

// finishRemoval removes a container that is marked. It may be repeated.
func (c *Containers) finishRemoval(ctx context.Context, ct *Container) error {
	if err := c.endForRemoval(ctx, ct); err != nil {
		return err
	}
	unlock, err := ct.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s := ct.Snapshot()
	if err := c.markRemoval(ct, s); err != nil {
		return fmt.Errorf("write down the removal: %w", err)
	}
	if err := failpoint.Hit(failpoint.RemovalMarked); err != nil {
		return err
	}
	if !ct.isFreed() {
		if err := c.runtime.Delete(ctx, ct.id); err != nil {
			return fmt.Errorf("runtime: %w", err)
		}
	}
	if err := c.removeLayer(ctx, ct.id); err != nil {
		return fmt.Errorf("unable to remove filesystem: %w", err)
	}
	phase.Mark("daemon", "layer removed")
	if err := failpoint.Hit(failpoint.RemovalLayer); err != nil {
		return err
	}
	// Without its record the container is no more: the next boot would remove the rest.
	if err := c.removeRecord(ct.id, s.Damaged || !s.HostConfig.AutoRemove); err != nil {
		return fmt.Errorf("unable to remove its record: %w", err)
	}
	if err := failpoint.Hit(failpoint.RemovalRecord); err != nil {
		return err
	}
	if !ct.abandon() {
		if err := c.removeFiles(ct.id); err != nil {
			return fmt.Errorf("unable to remove its folder: %w", err)
		}
	}
	phase.Mark("daemon", "files removed")
	ct.endProc()
	c.execs.Forget(ct.id)
	c.index.remove(ct)
	ct.update(func(s *Snapshot) {
		s.State.Removed, s.State.Running, s.State.Paused = true, false, false
		c.event(s, events.ActionDestroy) // told before anybody who waits can tell the next thing
	})
	return nil
}

// markRemoval makes sure that a removal which is cut off from here on is
// finished at the next boot. On a full disk nothing can be written, but the
// record can still be renamed, and a folder without one is removed at boot.
func (c *Containers) markRemoval(ct *Container, s *Snapshot) error {
	if s.HostConfig.AutoRemove && !s.Damaged {
		return nil
	}
	if !s.Damaged && c.saveUnsynced(ct) == nil {
		return nil
	}
	err := c.fsys.Rename(c.recordPath(ct.id), c.path(ct.id, "removed.json"))
	if isNotExist(err) {
		return nil
	}
	return err
}

// endForRemoval kills a container that still runs.
func (c *Containers) endForRemoval(ctx context.Context, ct *Container) error {
	for ct.Snapshot().State.Running {
		if c.cancelRestart(ct) {
			return nil
		}
		s := ct.Snapshot()
		err := c.signal(ctx, ct, syscall.SIGKILL)
		if err != nil && !errors.Is(err, ErrNotRunning) {
			return fmt.Errorf("could not kill: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, killPatience)
		_, err = ct.await(ctx, ended(s))
		cancel()
		if err != nil {
			return fmt.Errorf("could not kill: it has not ended: %w", err)
		}
	}
	return nil
}
