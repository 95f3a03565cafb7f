package supervisor

import (
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// take gives a daemon its own descriptors of a container that runs: the pidfd,
// and the master of its terminal if it has one.
func (s *supervisor) take(q protocol.Target) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd == nil {
		return reply{}, execdriver.ErrNotRunning
	}
	files := []*os.File{c.pidfd}
	if c.tty != nil {
		files = append(files, c.tty)
	}
	return answerWith(c.state.Process, files)
}

// give takes descriptors back from a daemon: this supervisor may have adopted the
// container without them. Those that it has already are not needed.
func (s *supervisor) give(q protocol.Give, files []*os.File) (reply, error) {
	want := 1
	if q.TTY {
		want = 2
	}
	if len(files) != want {
		return reply{}, protocol.ErrInvalid
	}
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late != nil && c.pidfd == nil {
		if c.pidfd, err = duplicate(files[0]); err != nil {
			return reply{}, err
		}
		close(c.late)
	}
	if q.TTY && c.state.Create.Tty && c.tty == nil && c.lateTTY != nil && !c.ending {
		if c.tty, err = duplicate(files[1]); err != nil {
			return reply{}, err
		}
		c.output.resume(c.tty)
		close(c.lateTTY)
	}
	return reply{}, nil
}
