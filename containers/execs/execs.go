package execs

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
	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/errs"
)

// execLinger is how long an exec that has ended can still be inspected.
const execLinger = 5 * time.Minute

// Execs are all execs that may be inspected. The exported fields are set before
// it is used.
type Execs struct {
	Containers Containers
	Runtime    runtime.Execs
	Host       spec.Host
	Defaults   spec.Defaults
	NewID      func() string
	ExecRoot   string
	Log        *logrus.Logger
	Life       context.Context // what follows processes ends with it

	mu    sync.Mutex
	byID  map[string]*execution
	made  int         // so far, to keep their order
	sweep *time.Timer // runs while there are ended ones
}

// execution is an exec: a further process in a container, or the wish for one.
type execution struct {
	id      string
	number  int
	ct      Container
	request container.ExecCreateRequest
	keys    []byte // nil: the default

	started chan struct{} // closed when the process was made, or could not be
	ended   chan struct{} // closed when the exit code is known

	saving sync.Mutex // writers of the record take turns

	mu       sync.Mutex
	begun    bool // a start was asked for: there is only one
	pid      int
	tty      *os.File
	exitCode *int
	endedAt  time.Time
	alone    *execLink // of an earlier daemon's; its client is gone
	// forgotten: it has no record any more.
	forgotten bool
}

func (x *Execs) add(e *execution) { x.addAs(e, 0) }

// addAs adds one that has a number already; 0 is the next one.
func (x *Execs) addAs(e *execution, number int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID == nil {
		x.byID = make(map[string]*execution)
	}
	if number == 0 {
		number = x.made + 1
	}
	x.made = max(x.made, number)
	e.number = number
	x.byID[e.id] = e
}

func (x *Execs) find(id string) (*execution, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.byID[id]
	if !ok {
		return nil, errs.NotFound("No such exec instance: %s", id)
	}
	return e, nil
}

// Of lists the execs of a container that have not ended, oldest first; nil for none.
func (x *Execs) Of(containerID string) []string {
	x.mu.Lock()
	var list []*execution
	for _, e := range x.byID {
		if e.ct.ID() == containerID && !e.hasEnded() {
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
func (x *Execs) forget(which func(*execution) bool) {
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
		x.unsave(e)
		e.end(exitUnknown)
	}
}

// sweepLater sees to it that ended execs are forgotten in time. The timer holds
// nothing but memory, so a noun that is closed needs not stop it.
func (x *Execs) sweepLater(life context.Context) {
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
func (e *execution) run(p runtime.Process) {
	e.mu.Lock()
	e.pid, e.tty = p.Pid, p.TTY
	e.mu.Unlock()
	close(e.started)
}

// end notes the exit code. Only the first one counts.
func (e *execution) end(code int) (first bool) { return e.endAnd(code, func() {}) }

// endAnd has then called before anybody who waits is told.
func (e *execution) endAnd(code int, then func()) (first bool) {
	e.mu.Lock()
	if e.exitCode != nil {
		e.mu.Unlock()
		return false
	}
	e.exitCode, e.endedAt = &code, time.Now()
	e.mu.Unlock()
	then()
	close(e.ended)
	return true
}

// Exited records the end of an exec. It may be told twice, and of execs
// that nobody knows: a former daemon's.
func (x *Execs) Exited(exit runtime.Exit) {
	e, err := x.find(exit.ExecID)
	if err != nil {
		return
	}
	first := e.endAnd(exit.ExitCode, func() {
		x.save(e) // before the runtime forgets it
		e.ct.Event(events.ActionExecDie, "execID", e.id, "exitCode", strconv.Itoa(exit.ExitCode))
	})
	if first {
		x.sweepLater(x.Life)
	}
}

// Forget drops the execs of a container that is removed.
func (x *Execs) Forget(containerID string) {
	x.forget(func(e *execution) bool { return e.ct.ID() == containerID })
}

// canExec tells why no process can be started in the container with this id;
// ref is what the user called it.
func canExec(s State, id, ref string) error {
	switch {
	case s.Removed:
		return errs.NotFound("No such container: %s", ref)
	case s.Restarting:
		return errs.Conflict("Container %s is restarting, wait until the container is running", ref)
	case !s.Running:
		return errs.Conflict("Container %s is not running", id)
	case s.Paused:
		return errs.Conflict("Container %s is paused, unpause the container before exec", ref)
	}
	return nil
}
