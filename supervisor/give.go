package supervisor

import (
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// take gives a daemon its own descriptors of a container that runs.
func (s *supervisor) take(q protocol.Target, version int) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd == nil {
		return reply{}, execdriver.ErrNotRunning
	}
	return c.taken(version)
}

// taken is the answer that has a container's descriptors: the pidfd, the master
// of its terminal, and the write end of its stdin. c.mu is locked.
func (c *container) taken(version int) (reply, error) {
	body, files := protocol.Taken{Process: c.state.Process}, []*os.File{c.pidfd}
	if c.tty != nil {
		files = append(files, c.tty)
	}
	if c.stdin != nil && version >= protocol.StdinComesAlong {
		body.Stdin, files = true, append(files, c.stdin)
	}
	return answerWith(body, files)
}

// give takes descriptors back from a daemon: this supervisor may have adopted the
// container without them. Those that it has already are not needed.
func (s *supervisor) give(q protocol.Give, files []*os.File) (reply, error) {
	want := 1
	for _, more := range []bool{q.TTY, q.Stdin} {
		if more {
			want++
		}
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
	if q.Stdin && c.state.hasOpenStdin() && c.stdin == nil && c.pidfd != nil && !c.ending {
		if c.stdin, err = duplicate(files[want-1]); err != nil {
			return reply{}, err
		}
	}
	return reply{}, nil
}
