package supervisor

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
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
	raw, err := x.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) {
		serr = unix.PidfdSendSignal(int(fd), syscall.Signal(q.Signal), nil, 0)
	}); err != nil {
		return err
	}
	if errors.Is(serr, unix.ESRCH) {
		return execdriver.ErrNotRunning
	}
	return serr
}
