package supervisor

import "github.com/jobengine/engine/supervisor/protocol"

// closeStdin closes our write end, so that the container sees the end of its
// input once the daemon has closed its own. It is remembered: an adopter must
// not open it again.
func (s *supervisor) closeStdin(q protocol.Target) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	f := c.stdin
	c.stdin = nil
	c.state.StdinClosed = true
	st := c.state
	c.mu.Unlock()
	if f == nil {
		return reply{}, nil
	}
	err = st.save(c.dir)
	f.Close()
	return reply{}, err
}
