package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/supervisor/protocol"
)

// start releases the first process of a container.
func (s *supervisor) start(q protocol.Start) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	st, released := c.state, c.released
	c.mu.Unlock()
	switch {
	case released && st.StartOp == q.Op:
		return reply{}, nil
	case released:
		return reply{}, fmt.Errorf("the container has been started: %w", execdriver.ErrExists)
	case c.isEnded() && st.Started:
		return reply{}, errCutOff
	case c.isEnded():
		return reply{}, execdriver.ErrNotRunning
	}
	// Written before, as the process may be gone right after. A predecessor may have
	// come so far and died; then the driver's Start finds a running container.
	phase.Mark("supervisor", "start arrives")
	again := st.Started
	st.Started, st.StartOp = true, q.Op
	if err := st.save(c.dir); err != nil {
		return reply{}, err
	}
	if err := failpoint.Hit(failpoint.StartSaved); err != nil {
		return reply{}, err
	}
	if err := c.driver.Start(context.Background(), q.ID); again && errors.Is(err, execdriver.ErrNotRunning) {
		return reply{}, errCutOff
	} else if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	c.state, c.released = st, true
	c.mu.Unlock()
	phase.Mark("supervisor", "released")
	go s.watchOOM(c)
	return reply{}, nil
}

// errCutOff: whether the user's program ever ran, nobody knows.
var errCutOff = fmt.Errorf("the supervisor died while it started the container, which has ended: %w", execdriver.ErrNotRunning)
