package supervisor

import (
	"context"
	"fmt"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

func (s *supervisor) update(q protocol.Update) (reply, error) {
	if q.Limits == nil {
		return reply{}, fmt.Errorf("no limits: %w", protocol.ErrInvalid)
	}
	c, u, err := able[execdriver.Updater](s, q.ID)
	if err != nil {
		return reply{}, err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if c.isEnded() {
		return reply{}, execdriver.ErrNotRunning
	}
	return reply{}, u.Update(context.Background(), q.ID, q.Limits)
}

// stats waits for no other operation: a container that is being started or
// stopped uses something too.
func (s *supervisor) stats(q protocol.Target) (reply, error) {
	c, d, err := able[execdriver.Statser](s, q.ID)
	if err != nil {
		return reply{}, err
	}
	if c.isEnded() {
		return reply{}, execdriver.ErrNotRunning
	}
	u, err := d.Stats(context.Background(), q.ID)
	return reply{body: u}, err
}
