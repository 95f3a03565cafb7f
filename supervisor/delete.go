package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// delete kills what is left of a container and removes everything of it from
// the exec root. Its exit has been recorded before it answers.
func (s *supervisor) delete(q protocol.Target) (reply, error) {
	if !validID(q.ID) {
		return reply{}, fmt.Errorf("container id %q: %w", q.ID, protocol.ErrInvalid)
	}
	c, err := s.find(q.ID)
	if errors.Is(err, execdriver.ErrNotFound) {
		// What a Create that failed or was killed has left.
		for _, d := range s.drivers.all() {
			if err := d.Delete(context.Background(), q.ID); err != nil {
				return reply{}, err
			}
		}
		return reply{}, os.RemoveAll(s.dir(q.ID))
	} else if err != nil {
		return reply{}, err
	}
	if !c.isEnded() {
		// At once, in case another operation on it hangs until its process ends.
		_ = c.driver.Signal(context.Background(), c.id, syscall.SIGKILL)
	}
	c.op.Lock()
	defer c.op.Unlock()
	if s.isForgotten(c) { // its creation failed while we waited, or another delete was faster
		return s.delete(q)
	}
	if !c.isEnded() {
		// First the end, so that the exit is told as one by SIGKILL and the output is complete.
		err := c.driver.Signal(context.Background(), c.id, syscall.SIGKILL)
		if err != nil && !errors.Is(err, execdriver.ErrNotRunning) && !errors.Is(err, execdriver.ErrNotFound) {
			return reply{}, err
		}
		<-c.ended
	}
	// This comes first: whatever a successor finds without a state, it removes.
	if err := os.Remove(filepath.Join(c.dir, "state.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return reply{}, err
	}
	if err := c.driver.Delete(context.Background(), c.id); err != nil {
		return reply{}, err
	}
	if s.isForgotten(c) {
		return reply{}, nil
	}
	c.output.close()
	if err := removeWhileWritten(c.dir); err != nil {
		return reply{}, err
	}
	s.forget(c.id)
	return reply{}, nil
}

// isForgotten says whether c is not in the table any more.
func (s *supervisor) isForgotten(c *container) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.containers[c.id] != c
}

// removeWhileWritten removes a folder into which an exec that is refused just now may still
// write a note of its end.
func removeWhileWritten(dir string) error {
	for range 100 {
		err := os.RemoveAll(dir)
		if !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return os.RemoveAll(dir)
}
