package containers

import (
	"context"
	"time"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
)

// Restore finds out what has happened since the records were written: what
// lives is taken over, what has ended meanwhile is recorded, removals that were
// cut off are finished, and what was never acknowledged is taken away. Then
// exits are followed. It fails only when the runtime can not be asked; the
// trouble of one container is logged and does not stop the others.
func (c *Containers) Restore(ctx context.Context) error {
	list, err := c.runtime.List(ctx)
	if err != nil {
		return err
	}
	known := make(map[string]RuntimeState, len(list))
	live := make(map[string]bool, len(list))
	for _, r := range list {
		known[r.ID], live[r.ID] = r, true
	}
	var wanted []*Container
	for _, ct := range c.index.all() {
		c.restore(ctx, ct, known)
		delete(known, ct.id)
		if wantsStartAtBoot(ct.Snapshot()) {
			wanted = append(wanted, ct)
		}
	}
	for id := range known {
		c.log.Warnf("container %s runs without a record: it is ended", id)
		if err := c.runtime.Delete(ctx, id); err != nil {
			c.log.Errorf("container %s without a record: %v", id, err)
		}
		c.halfMade = append(c.halfMade, id)
	}
	c.removeHalfMade(ctx)
	c.sweepShm()
	c.sweepLayers(ctx)
	c.sweepExecRoot(ctx, live)
	c.sweepKept()
	exits := c.runtime.Exits()
	go c.followExits(exits)
	go c.followOOMs(c.runtime.OOMs())
	c.background(func() { c.startAtBoot(wanted) })
	return nil
}

// restore brings one container up to date.
func (c *Containers) restore(ctx context.Context, ct *Container, known map[string]RuntimeState) {
	s := ct.Snapshot()
	r, found := known[ct.id]
	lives := found && r.Status == "running" && !s.Damaged
	switch {
	case lives && !s.State.Removing:
		if err := c.adopt(ctx, ct, r); err == nil {
			return
		} else {
			c.log.Errorf("container %s lives but can't be taken over: %v", ct.id, err)
		}
	case s.State.Running && found && r.Status == "created" && !s.Damaged:
		c.takeBackStart(ctx, ct)
	case s.State.Running:
		c.foldExit(ctx, ct, r)
	default:
		// A start that was cut off has left something, or a mount of a dead one is left.
		if found && !s.Damaged { // a damaged one may run on until it is removed
			if err := c.runtime.Delete(ctx, ct.id); err != nil {
				c.log.Errorf("container %s: what an earlier start left: %v", ct.id, err)
			}
		}
		// A start may have died right after it mounted.
		_ = c.putRootfs(ctx, ct.id)
		_ = c.freeShm(s)
		c.checkLayer(ctx, ct)
		_ = c.networks.Release(ctx, ct.id)
	}
	if s := ct.Snapshot(); s.State.Removing || s.HostConfig.AutoRemove && !s.State.Running && !s.Damaged {
		ct.update(func(s *Snapshot) { s.State.Removing = true })
		if err := c.finishRemoval(ctx, ct); err != nil {
			ct.update(func(s *Snapshot) { s.State.Removing, s.State.Dead = false, true })
			c.log.Errorf("container %s: its removal can't be finished: %v", ct.id, err)
		}
	}
}

// adopt takes a living container over.
func (c *Containers) adopt(ctx context.Context, ct *Container, r RuntimeState) error {
	rootfs, err := c.getRootfs(ctx, ct.id, graphdriver.IDMap{}) // it has its ids
	if err != nil {
		return err
	}
	p := &Proc{Pid: r.Pid, StartTime: r.StartTime, Rootfs: rootfs}
	if r.Tty {
		// Without its master a terminal can still be used by the container.
		if p.TTY, err = c.runtime.TTY(ctx, ct.id); err != nil {
			c.log.Warnf("container %s: its terminal is lost: %v", ct.id, err)
		}
	}
	ct.update(func(s *Snapshot) {
		s.State.Running, s.State.Pid, s.State.StartTime = true, r.Pid, r.StartTime
		s.State.ExitCode, s.State.Error = 0, ""
		if s.State.StartedAt.IsZero() || r.Run > s.Runs {
			s.State.StartedAt = time.Now().UTC()
		}
		s.Runs = max(s.Runs, r.Run)
	})
	ct.setProc(p)
	c.endCutOffPause(ctx, ct)
	c.execs.Restore(ctx, execTarget{c, ct}, r.Execs, r.ExecsEnded)
	return nil
}

// endCutOffPause lets a container go on that an earlier daemon paused for a commit, or
// that it was about to pause or to let go on when it was killed.
func (c *Containers) endCutOffPause(ctx context.Context, ct *Container) {
	if !ct.Snapshot().State.Thaw {
		return
	}
	if err := c.runtime.Resume(ctx, ct.id); err != nil {
		c.log.Errorf("container %s was paused when the engine was killed and can't be unpaused: %v", ct.id, err)
		return
	}
	c.log.Infof("container %s was being paused when the engine was killed: it goes on", ct.id)
	c.setPause(ct, func(s *State) { s.Paused, s.Thaw = false, false })
}

// takeBackStart undoes a start that was cut off before the program ran: nobody
// was told that it did.
func (c *Containers) takeBackStart(ctx context.Context, ct *Container) {
	if err := c.runtime.Delete(ctx, ct.id); err != nil {
		c.log.Errorf("container %s: what a start that was cut off left: %v", ct.id, err)
	}
	_ = c.putRootfs(ctx, ct.id)
	_ = c.freeShm(ct.Snapshot())
	if err := c.networks.Release(ctx, ct.id); err != nil {
		c.log.Errorf("container %s: networks of a start that was cut off: %v", ct.id, err)
	}
	ct.update(func(s *Snapshot) {
		s.Runs--
		s.State.Running, s.State.Pid, s.State.StartTime = false, 0, 0
		if s.Runs == 0 {
			s.State.StartedAt = time.Time{}
			return
		}
		s.State.ExitCode, s.State.Error = 255, "the engine was killed while it started the container again; how the run before ended is not known any more"
	})
	if err := c.saveUnsynced(ct); err != nil {
		c.log.Errorf("container %s: record: %v", ct.id, err)
	}
}

// foldExit records how a container ended while nobody looked: as the runtime or
// the exit file says, else nobody knows.
func (c *Containers) foldExit(ctx context.Context, ct *Container, r RuntimeState) {
	e := Exit{Container: ct.id, ExitCode: 255, Error: "it ended while the engine was away, and its exit code is not known", At: time.Now()}
	if kept, ok := c.keptExit(ct); ok && r.Exit == nil {
		r.Exit = &kept
	}
	var filed Exit
	switch err := durable.ReadJSON(c.fsys, c.exitPath(ct.id), &filed); {
	case r.Exit != nil:
		e = *r.Exit
	case err == nil && !filed.At.Before(ct.Snapshot().State.StartedAt):
		e = filed
	case err != nil && !isNotExist(err):
		c.log.Errorf("container %s: exit record: %v", ct.id, err)
	}
	unlock, err := ct.lock(ctx)
	if err != nil {
		return
	}
	defer unlock()
	c.ended(ctx, ct, e, false)
	if r.Exit != nil {
		c.runtime.Ack(*r.Exit)
	}
}

// removeHalfMade takes away what a create that was cut off has left.
func (c *Containers) removeHalfMade(ctx context.Context) {
	for _, id := range c.halfMade {
		c.log.Infof("container %s was never finished: removing what there is", id)
		if err := c.removeLayer(ctx, id); err != nil {
			c.log.Errorf("half-made container %s: layer: %v", id, err)
			continue
		}
		if err := c.removeFiles(id); err != nil {
			c.log.Errorf("half-made container %s: folder: %v", id, err)
		}
	}
	c.halfMade = nil
}
