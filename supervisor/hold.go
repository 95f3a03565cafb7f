package supervisor

import (
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// maxHeld is what an exec may leave here: a terminal, or two pipes.
const maxHeld = 2

// hold keeps the daemon's ends of an exec's streams open until the exec ends,
// whatever becomes of the daemon. They are neither read nor written here.
func (s *supervisor) hold(q protocol.Hold, files []*os.File) error {
	if len(files) == 0 || len(files) != len(q.Names) || len(files) > maxHeld {
		return protocol.ErrInvalid
	}
	c, err := s.find(q.Container)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.execs[q.ExecID]
	if x == nil || x.starting {
		return execdriver.ErrNotFound
	}
	if x.held != nil {
		return execdriver.ErrExists
	}
	var kept []held
	for i, name := range q.Names {
		f, err := duplicate(files[i])
		if err != nil {
			closeHeld(kept)
			return err
		}
		kept = append(kept, held{name, f})
	}
	x.held = kept
	return nil
}

func closeHeld(all []held) {
	for _, h := range all {
		h.file.Close()
	}
}

// takeExec gives a daemon the descriptors of an exec that an earlier one has started.
func (s *supervisor) takeExec(q protocol.TakeExec) (reply, error) {
	c, err := s.find(q.Container)
	if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.execs[q.ExecID]
	if x == nil || x.pidfd == nil {
		return reply{}, execdriver.ErrNotFound
	}
	body, files := protocol.TakenExec{Process: x.process, Names: []string{}}, []*os.File{x.pidfd}
	for _, h := range x.held {
		body.Names = append(body.Names, h.name)
		files = append(files, h.file)
	}
	return answerWith(body, files)
}
