package containers

import (
	"context"
	"iter"
	"os"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
)

// followExits handles what the runtime tells of ends, until it is closed. Each
// has a goroutine for a moment: one that is stuck keeps nobody else waiting.
func (c *Containers) followExits(exits iter.Seq[Exit]) {
	for e := range exits {
		c.background(func() { c.handleExit(e) })
	}
}

// background runs f beside everything else; Close waits for it. After Close
// nothing new begins, and f is not run: exits are told again to the next daemon.
func (c *Containers) background(f func()) {
	c.gate.Lock()
	defer c.gate.Unlock()
	if !c.closed {
		c.exited.Go(f)
	}
}

// handleExit records an exit and tells the runtime that it did. It may be told twice.
func (c *Containers) handleExit(e Exit) {
	defer func() {
		if thrown := recover(); thrown != nil {
			c.log.Errorf("container %s: panic while its exit was handled: %v", e.Container, thrown)
		}
	}()
	if e.ExecID != "" {
		c.execs.Exited(e)
		c.runtime.Ack(e)
		return
	}
	ct, ok := c.index.get(e.Container)
	if !ok {
		c.runtime.Ack(e)
		return
	}
	// Not c.life: an exit that has come has to be recorded.
	ctx := context.Background()
	unlock, err := ct.lock(ctx)
	if err != nil {
		return
	}
	s := ct.Snapshot()
	if !s.State.Running || s.State.Pid != e.Pid || s.State.StartTime != e.StartTime {
		unlock() // of a start that was taken back, or told before
		c.runtime.Ack(e)
		return
	}
	phase.Mark("daemon", "exit arrives")
	kept := ct.isKept()
	now := c.ended(ctx, ct, e, !c.leaving.Load())
	unlock()
	c.runtime.Ack(e)
	switch {
	case now.State.Restarting:
		c.restartLater(ct, ct.nextPause(now.State.FinishedAt.Sub(now.State.StartedAt)))
	case s.HostConfig.AutoRemove && !kept:
		c.autoRemove(ctx, ct)
	}
}

// ended turns a running container into one that has ended, or, if obey is set
// and its policy says so, into one that is about to start again; the caller has its
// turn. What fails is logged: the container has ended all the same.
func (c *Containers) ended(ctx context.Context, ct *Container, e Exit, obey bool) *Snapshot {
	s := ct.Snapshot()
	trouble := func(doing string, err error) {
		if err != nil {
			c.log.Errorf("container %s has ended: %s: %v", ct.id, doing, err)
		}
	}
	if _, err := os.Lstat(c.exitPath(ct.id)); err != nil && !s.HostConfig.AutoRemove {
		trouble("keep its exit", c.keepExit(e)) // the runtime forgets what it could not write there
	}
	// Both at once: the unmount only takes the layer out of the host's view.
	freed := make(chan error, 1)
	go func() { freed <- c.runtime.Delete(ctx, ct.id) }()
	trouble("unmount", c.putRootfs(ctx, ct.id))
	phase.Mark("daemon", "layer unmounted")
	err := <-freed
	if err != nil { // nobody comes by again until the container is started or removed
		c.log.Warnf("container %s has ended: free what the runtime holds: %v: trying again", ct.id, err)
		err = c.runtime.Delete(ctx, ct.id)
	}
	trouble("free what the runtime holds", err)
	phase.Mark("daemon", "supervisor has deleted")
	ct.setFreed(err == nil)
	trouble("free its shared memory", c.freeShm(s))
	ct.endProc()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	now := ct.update(func(s *Snapshot) {
		told := s.State.OOMKills // while it ran
		again := obey && wantsRestart(s, e.ExitCode, s.ManualStop)
		if again {
			s.RestartCount++
		}
		s.State = State{
			Running: again, Restarting: again,
			ExitCode: e.ExitCode, OOMKilled: e.OOMKilled, OOMKills: e.OOMKills, Error: e.Error, Removing: s.State.Removing,
			StartedAt: s.State.StartedAt, FinishedAt: e.At.UTC(), Exits: s.State.Exits + 1,
		}
		// Told before anybody who waits can tell the next thing.
		if e.OOMKilled && (e.OOMKills > told || e.OOMKills == 0 && told == 0) {
			c.event(s, events.ActionOOM)
		}
		ran := int64(s.State.FinishedAt.Sub(s.State.StartedAt).Seconds())
		c.event(s, events.ActionDie, "exitCode", strconv.Itoa(e.ExitCode), "execDuration", strconv.FormatInt(max(ran, 0), 10))
	})
	trouble("leave its networks", c.networks.Release(ctx, ct.id))
	if !s.HostConfig.AutoRemove {
		// The exit file is durable already and is read again at the next boot if need be.
		trouble("record", c.saveUnsynced(ct))
	}
	_ = failpoint.Hit(failpoint.ExitRecorded)
	return now
}

// autoRemove removes a container that was to be removed when it ends.
func (c *Containers) autoRemove(ctx context.Context, ct *Container) {
	if err := c.remove(ctx, ct, removal{}); err != nil && !ct.Snapshot().State.Removing {
		c.log.Errorf("container %s: automatic removal: %v", ct.id, err)
	}
}
