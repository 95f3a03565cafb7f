package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// adoptAll takes over what a dead supervisor left: containers that live, those
// that ended meanwhile, and halves of containers, which it removes.
//
// h is what was handed over by one that did not die, but became this program;
// otherwise nil.
func (s *supervisor) adoptAll(h *handover) {
	if h != nil {
		s.ending = h.Ending
		defer h.drop()
	}
	entries, err := os.ReadDir(filepath.Join(s.root, "containers"))
	if err != nil {
		logrus.Errorf("look for containers: %v", err)
	}
	unclear := map[string]bool{} // not ours to judge, until a daemon deletes them
	for _, e := range entries {
		if err := s.adopt(e.Name(), h); err != nil && !errors.Is(err, os.ErrNotExist) {
			logrus.Errorf("container %s cannot be taken over, it runs on alone until it is removed: %v", e.Name(), err)
			unclear[e.Name()] = true
		}
	}
	for name, d := range s.drivers.all() {
		ids, err := d.List(context.Background())
		if err != nil {
			logrus.Errorf("exec driver %s: %v", name, err)
		}
		for _, id := range ids {
			if s.containers[id] == nil && !unclear[id] {
				// Its Create was never answered.
				if err := d.Delete(context.Background(), id); err != nil {
					logrus.Errorf("remove half of container %s: %v", id, err)
				}
				removeRunFiles(s.dir(id))
			}
		}
	}
}

// adopt takes over the container whose folder has this name; os.ErrNotExist if
// its Create was never answered.
func (s *supervisor) adopt(id string, h *handover) error {
	dir := s.dir(id)
	st, err := loadState(dir)
	if err != nil {
		return err
	}
	d := s.drivers.get(st.Create.Driver)
	if d == nil {
		return fmt.Errorf("no exec driver %q", st.Create.Driver)
	}
	c := &container{
		id: id, dir: dir, driver: d, state: st,
		ended: make(chan struct{}), execs: map[string]*execution{},
	}
	in := h.take(id)
	c.released = in.Released
	exit, hasExit := savedExit(dir, st)
	c.pidfd = inheritedAs(in.PidFD, "pidfd")
	if !hasExit && c.pidfd == nil {
		if c.pidfd, err = pidfd.Open(pidfd.Process(st.Process)); errors.Is(err, os.ErrProcessDone) {
			c.late = make(chan struct{})
		} else if err != nil {
			return err
		}
	}
	alive := c.pidfd != nil
	if c.output, err = recoverOutput(dir, st.Create); err != nil {
		return err
	}
	if c.tty = inheritedAs(in.TTY, "tty"); st.Create.Tty && c.tty == nil && !c.output.spool.Ended(spool.Stdout) {
		c.lateTTY = make(chan struct{})
	}
	if c.stdin = inheritedAs(in.Stdin, "stdin"); c.stdin == nil && st.hasOpenStdin() && alive {
		c.stdin = c.reopenStdin()
	}
	sources, err := reopenOutput(dir, c, in)
	if err != nil {
		return err
	}
	s.containers[id] = c
	c.output.reunited = time.Now().Add(reunion)
	c.output.begin(sources, st.Create.Tty)
	s.adoptExecs(c, in)
	switch {
	case hasExit:
		go s.finish(c, exit)
	case alive:
		go s.awaitEnd(c)
		s.watchOOM(c)
	default:
		go s.awaitLate(c)
	}
	return nil
}

// lateWait is how long a daemon has to give what a container that has ended left
// with it: its pidfd, which knows the exit code, or its terminal, with the last output.
const lateWait = 3 * time.Second

// awaitLate finds out how a process ended that went while no supervisor lived.
func (s *supervisor) awaitLate(c *container) {
	select {
	case <-c.late:
		s.awaitEnd(c)
		return
	case <-time.After(lateWait):
	}
	c.mu.Lock()
	given := c.pidfd != nil
	if !given {
		c.late = nil
	}
	st := c.state
	c.mu.Unlock()
	if given {
		s.awaitEnd(c)
		return
	}
	exit := protocol.Exit{
		Container: c.id, Pid: st.Process.Pid, StartTime: st.Process.StartTime, ExitCode: 255, At: time.Now().UTC(),
		Error: "the exit code is unknown: the process ended while no supervisor lived",
	}
	c.saveExit(st.Create, exit)
	s.finish(c, exit)
}

// reopenOutput opens the FIFOs again. What a dead container wrote last is still
// in them if somebody, such as the daemon, has held them open.
func reopenOutput(dir string, c *container, in inherited) (sources [spool.Streams]*os.File, err error) {
	if c.state.Create.Tty {
		sources[spool.Stdout] = c.tty // without one the daemon gives it back
		return sources, nil
	}
	for s := range spool.Stream(spool.Streams) {
		sources[s] = inheritedAs(in.Output[s], s.String())
		if c.output.spool.Ended(s) {
			if sources[s] != nil {
				sources[s].Close()
				sources[s] = nil
			}
			continue
		}
		if sources[s] != nil {
			continue
		}
		if sources[s], err = openOutput(filepath.Join(dir, s.String())); err != nil {
			return sources, err
		}
	}
	return sources, nil
}
