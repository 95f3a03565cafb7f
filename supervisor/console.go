package supervisor

import (
	"fmt"
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

var errNoTTY = fmt.Errorf("the container has no terminal: %w", execdriver.ErrNotFound)

// tty gives a daemon a descriptor of a container's pty master.
func (s *supervisor) tty(q protocol.Target) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tty == nil {
		return reply{}, errNoTTY
	}
	return answerWith(nil, []*os.File{c.tty})
}

// giveTTY takes back from the daemon the pty master of a container that this
// supervisor adopted without one.
func (s *supervisor) giveTTY(q protocol.Target, files []*os.File) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	if len(files) != 1 {
		return reply{}, protocol.ErrInvalid
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.Create.Tty {
		return reply{}, errNoTTY
	}
	if c.tty != nil || c.isEnded() {
		return reply{}, nil
	}
	f, err := duplicate(files[0])
	if err != nil {
		return reply{}, err
	}
	c.tty = f
	c.output.resume(f)
	return reply{}, nil
}
