package supervisor

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/supervisor/protocol"
)

// signal sends a signal to a container's first process or to one of its execs.
func (s *supervisor) signal(q protocol.Signal) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	if q.ExecID != "" {
		return reply{}, c.signalExec(q)
	}
	if c.isEnded() {
		return reply{}, execdriver.ErrNotRunning
	}
	return reply{}, c.driver.Signal(context.Background(), q.ID, syscall.Signal(q.Signal))
}

func (c *container) signalExec(q protocol.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.execs[q.ExecID]
	if x == nil || x.pidfd == nil {
		return execdriver.ErrNotFound
	}
	if err := pidfd.Signal(x.pidfd, syscall.Signal(q.Signal)); errors.Is(err, os.ErrProcessDone) {
		return execdriver.ErrNotRunning
	} else if err != nil {
		return err
	}
	return nil
}
