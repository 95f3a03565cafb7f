package containers

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/internal/errs"
)

// execLinger is how long an exec that has ended can still be inspected.
const execLinger = 5 * time.Minute

// execs are all execs that may be inspected; the zero value is ready.
type execs struct {
	mu    sync.Mutex
	byID  map[string]*execution
	made  int         // so far, to keep their order
	sweep *time.Timer // runs while there are ended ones
}

// execution is an exec: a further process in a container, or the wish for one.
type execution struct {
	id      string
	number  int
	ct      *Container
	request container.ExecCreateRequest
	keys    []byte // nil: the default

	started chan struct{} // closed when the process was made, or could not be
	ended   chan struct{} // closed when the exit code is known

	mu       sync.Mutex
	begun    bool // a start was asked for: there is only one
	pid      int
	tty      *os.File
	exitCode *int
	endedAt  time.Time
}

func (x *execs) add(e *execution) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID == nil {
		x.byID = make(map[string]*execution)
	}
	x.made++
	e.number = x.made
	x.byID[e.id] = e
}

func (x *execs) find(id string) (*execution, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.byID[id]
	if !ok {
		return nil, errs.NotFound("No such exec instance: %s", id)
	}
	return e, nil
}

// of lists the execs of a container that have not ended, oldest first; nil for none.
func (x *execs) of(containerID string) []string {
	x.mu.Lock()
	var list []*execution
	for _, e := range x.byID {
		if e.ct.id == containerID && !e.hasEnded() {
			list = append(list, e)
		}
	}
	x.mu.Unlock()
	slices.SortFunc(list, func(a, b *execution) int { return cmp.Compare(a.number, b.number) })
	var ids []string
	for _, e := range list {
		ids = append(ids, e.id)
	}
	return ids
}

// forget drops execs; those that wait for their ends are told.
func (x *execs) forget(which func(*execution) bool) {
	x.mu.Lock()
	var gone []*execution
	for id, e := range x.byID {
		if which(e) {
			delete(x.byID, id)
			gone = append(gone, e)
		}
	}
	x.mu.Unlock()
	for _, e := range gone {
		e.end(exitUnknown)
	}
}

// sweepLater sees to it that ended execs are forgotten in time. The timer holds
// nothing but memory, so a noun that is closed needs not stop it.
func (x *execs) sweepLater(life context.Context) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.sweep != nil || life.Err() != nil {
		return
	}
	x.sweep = time.AfterFunc(execLinger, func() {
		now := time.Now()
		x.forget(func(e *execution) bool { return e.endedBefore(now.Add(-execLinger)) })
		x.mu.Lock()
		x.sweep = nil
		left := false
		for _, e := range x.byID {
			left = left || e.hasEnded()
		}
		x.mu.Unlock()
		if left {
			x.sweepLater(life)
		}
	})
}

const exitUnknown = 255

func (e *execution) hasEnded() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

func (e *execution) endedBefore(t time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.exitCode != nil && e.endedAt.Before(t)
}

// begin claims the one start that an exec has.
func (e *execution) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.exitCode != nil:
		return errs.Conflict("Error: Exec command %s has already run", e.id)
	case e.begun:
		return errs.Conflict("Error: Exec command %s is already running", e.id)
	}
	e.begun = true
	return nil
}

// run notes the process. Its exit may have been told already.
func (e *execution) run(p Process) {
	e.mu.Lock()
	e.pid, e.tty = p.Pid, p.TTY
	e.mu.Unlock()
	close(e.started)
}

// end notes the exit code. Only the first one counts.
func (e *execution) end(code int) (first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.exitCode != nil {
		return false
	}
	e.exitCode, e.endedAt = &code, time.Now()
	close(e.ended)
	return true
}

// execExited records the end of an exec. It may be told twice, and of execs
// that nobody knows: a former daemon's.
func (c *Containers) execExited(x Exit) {
	e, err := c.execs.find(x.ExecID)
	if err != nil || !e.end(x.ExitCode) {
		return
	}
	c.execs.sweepLater(c.life)
	c.event(e.ct.Snapshot(), events.ActionExecDie, "execID", e.id, "exitCode", strconv.Itoa(x.ExitCode))
}

// forgetExecs drops the execs of a container that is removed.
func (c *Containers) forgetExecs(ct *Container) {
	c.execs.forget(func(e *execution) bool { return e.ct == ct })
}

// canExec tells why no process can be started in a container; ref is what the
// user called it.
func canExec(s *Snapshot, ref string) error {
	switch {
	case s.State.Removed:
		return errs.NotFound("No such container: %s", ref)
	case s.State.Restarting:
		return errs.Conflict("Container %s is restarting, wait until the container is running", ref)
	case !s.State.Running:
		return errs.Conflict("Container %s is not running", s.ID)
	case s.State.Paused:
		return errs.Conflict("Container %s is paused, unpause the container before exec", ref)
	}
	return nil
}
