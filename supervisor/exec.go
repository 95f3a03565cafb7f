package supervisor

import (
	"context"
	"fmt"
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/idmap"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/supervisor/protocol"
)

// exec starts a further process. Its descriptors come from the daemon and go
// straight to the driver: no byte of an exec passes through here.
func (s *supervisor) exec(q protocol.Exec, files []*os.File) (reply, error) {
	if q.Process == nil || !validID(q.ExecID) {
		return reply{}, fmt.Errorf("exec needs a process and an id: %w", protocol.ErrInvalid)
	}
	s.warmer.warm()
	stdio, err := execStdio(q, files)
	if err != nil {
		return reply{}, err
	}
	c, err := s.find(q.Container)
	if err != nil {
		return reply{}, err
	}
	x, isNew, err := c.claimExec(q)
	if err != nil {
		return reply{}, err
	}
	if isNew {
		s.starts <- struct{}{}
		var p execdriver.Process
		err := guard("exec", func() (err error) {
			// If it has just ended, the driver says so.
			if ids, err := idmap.OfProcess(c.pid()); err == nil {
				if err := own(stdio, ids); err != nil {
					return err
				}
			}
			p, err = c.driver.Exec(context.Background(), c.id, q.Process, stdio)
			return err
		})
		<-s.starts
		c.mu.Lock()
		if err != nil {
			delete(c.execs, q.ExecID)
			c.mu.Unlock()
			return reply{}, err
		}
		x.pidfd, x.process, x.starting = p.PidFD, protocol.Process{Pid: p.Pid}, false
		// The zombie is ours, so its start time is there even if it has ended.
		x.process.StartTime, _ = pidfd.StartTime(p.Pid)
		c.mu.Unlock()
		_ = failpoint.Hit(failpoint.ExecMade)
		c.saveExec(q.ExecID, execState{Op: q.Op, Process: x.process})
		defer func() { go s.awaitExec(c, q.ExecID, x) }()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.starting {
		return reply{}, execdriver.ErrExists
	}
	return answerWith(x.process, []*os.File{x.pidfd})
}

func (c *container) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Process.Pid
}

func (c *container) claimExec(q protocol.Exec) (x *execution, isNew bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exit != nil || c.pidfd == nil {
		return nil, false, execdriver.ErrNotRunning
	}
	if x := c.execs[q.ExecID]; x != nil {
		if x.op != q.Op {
			return nil, false, execdriver.ErrExists
		}
		return x, false, nil
	}
	x = &execution{op: q.Op, starting: true}
	c.execs[q.ExecID] = x
	return x, true, nil
}

// execStdio sorts the descriptors that came with the request.
func execStdio(q protocol.Exec, files []*os.File) (execdriver.Stdio, error) {
	var stdio execdriver.Stdio
	wanted := []struct {
		sent bool
		to   **os.File
	}{{q.Stdin, &stdio.Stdin}, {q.Stdout, &stdio.Stdout}, {q.Stderr, &stdio.Stderr}}
	if q.Process.Terminal {
		wanted = wanted[:1]
		wanted[0].sent, wanted[0].to = true, &stdio.ConsoleSocket
	}
	for _, w := range wanted {
		if !w.sent {
			continue
		}
		if len(files) == 0 {
			return stdio, fmt.Errorf("descriptors are missing: %w", protocol.ErrInvalid)
		}
		// Fd makes the file blocking, which is what a process expects of its stdio.
		files[0].Fd()
		*w.to, files = files[0], files[1:]
	}
	return stdio, nil
}

// awaitExec sees a further process to its end.
func (s *supervisor) awaitExec(c *container, id string, x *execution) {
	exit := awaitProcess(x.pidfd, x.process)
	exit.Container, exit.ExecID = c.id, id
	leave := s.gate.enterEnd()
	s.recording(func() { c.saveExec(id, execState{Op: x.op, Process: x.process, Exit: &exit}) })
	pidfd.Reap(x.pidfd)
	s.exits.add(exit) // before it is no longer listed as one that runs
	c.mu.Lock()
	delete(c.execs, id)
	x.pidfd.Close()
	closeHeld(x.held)
	c.mu.Unlock()
	leave()
}
