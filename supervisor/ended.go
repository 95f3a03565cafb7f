package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/supervisor/protocol"
)

// awaitEnd sees a container to its end: the exit is on disk before the process
// is reaped, and its output complete before anybody is told.
func (s *supervisor) awaitEnd(c *container) {
	defer func() {
		if p := recover(); p != nil {
			logrus.Errorf("container %s: panic at its end: %v\n%s", c.id, p, debug.Stack())
		}
	}()
	c.mu.Lock()
	f, st := c.pidfd, c.state
	c.mu.Unlock()
	exit := awaitProcess(f, st.Process)
	phase.Mark("supervisor", "process ended")
	exit.Container = c.id
	s.record(c, st, f, &exit)
	s.finish(c, exit)
	phase.Mark("supervisor", "output complete, exit told")
}

// record puts an exit on disk and reaps the process. An upgrade comes before or after.
func (s *supervisor) record(c *container, st state, f *os.File, exit *protocol.Exit) {
	defer s.gate.enterEnd()()
	ctx := context.Background()
	if w, ok := c.driver.(execdriver.OOMWatcher); ok {
		exit.OOMKills, _ = w.OOMKills(ctx, c.id)
	}
	if t, ok := c.driver.(execdriver.OOMTeller); ok {
		exit.OOMKilled, _ = t.OOMKilled(ctx, c.id)
	}
	if k, ok := c.driver.(execdriver.Killer); ok {
		if err := k.KillAll(ctx, c.id); err != nil && !errors.Is(err, execdriver.ErrNotFound) {
			logrus.Errorf("container %s: kill what its first process left: %v", c.id, err)
		}
	}
	s.recording(func() { c.saveExit(st.Create, *exit) })
	_ = failpoint.Hit(failpoint.ExitSaved)
	pidfd.Reap(f)
	phase.Mark("supervisor", "exit recorded")
}

// awaitProcess waits for a process and describes its end. It is not reaped yet.
func awaitProcess(f *os.File, p protocol.Process) protocol.Exit {
	code, err := pidfd.Await(f, pidfd.Process(p))
	e := protocol.Exit{Pid: p.Pid, StartTime: p.StartTime, ExitCode: code, At: time.Now().UTC()}
	if err != nil {
		e.Error = err.Error()
	}
	return e
}

// finish completes the output of an ended container and tells about the exit.
func (s *supervisor) finish(c *container, exit protocol.Exit) {
	if c.lateTTY != nil {
		select {
		case <-c.lateTTY:
		case <-time.After(lateWait):
		}
	}
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.output.end()
	c.mu.Lock()
	c.exit = &exit
	c.mu.Unlock()
	c.closeFiles()
	close(c.ended)
	s.exits.add(exit)
}

// saveExit writes the exit record where the daemon wants it; if that disk is
// full or gone, into the exec root.
func (c *container) saveExit(q protocol.Create, exit protocol.Exit) {
	text, err := json.Marshal(exit)
	if err == nil && q.ExitFile != "" {
		err = replaceFile(q.ExitFile, text, q.Durable)
	}
	if err == nil && q.ExitFile != "" {
		return
	}
	if err != nil {
		logrus.Errorf("container %s: exit code %d cannot be recorded on disk, kept in %s: %v", c.id, exit.ExitCode, c.dir, err)
	}
	if err := replaceFile(filepath.Join(c.dir, "exit.json"), text, false); err != nil {
		logrus.Errorf("container %s: exit code %d: %v", c.id, exit.ExitCode, err)
	}
}

// savedExit finds the record that a dead supervisor wrote of this very process.
func savedExit(dir string, st state) (protocol.Exit, bool) {
	for _, path := range []string{filepath.Join(dir, "exit.json"), st.Create.ExitFile} {
		var e protocol.Exit
		text, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(text, &e) == nil && e.Pid == st.Process.Pid && e.StartTime == st.Process.StartTime {
			return e, true
		}
	}
	return protocol.Exit{}, false
}
