package supervisor

import (
	"context"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

func (s *supervisor) pause(q protocol.Target) (reply, error) {
	return s.withPauser(q, true, func(p execdriver.Pauser) error { return p.Pause(context.Background(), q.ID) })
}

func (s *supervisor) resume(q protocol.Target) (reply, error) {
	return s.withPauser(q, false, func(p execdriver.Pauser) error { return p.Resume(context.Background(), q.ID) })
}

func (s *supervisor) withPauser(q protocol.Target, paused bool, f func(execdriver.Pauser) error) (reply, error) {
	c, p, err := able[execdriver.Pauser](s, q.ID)
	if err != nil {
		return reply{}, err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if c.isEnded() {
		return reply{}, execdriver.ErrNotRunning
	}
	if err := f(p); err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	c.state.Paused = paused
	st := c.state
	c.mu.Unlock()
	return reply{}, st.save(c.dir)
}
