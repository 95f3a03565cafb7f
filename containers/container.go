package containers

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobengine/engine/containers/state"
)

// Container is one container. What it is can be read at any time from its
// Snapshot; what it does takes turns by lock.
type Container struct {
	id   string
	snap atomic.Pointer[Snapshot]

	turn   chan struct{} // holds one token while an operation has the container
	saving sync.Mutex    // writers of the record take turns; readers never need it

	mu      sync.Mutex // of what follows; held for moments only
	changed chan struct{}
	proc    *Proc
	onProc  map[int]func(*Proc)
	lastKey int
	kept    int           // AutoRemove is put off while it is above 0
	held    int           // readers of the log; its folder stays while it is above 0
	freed   bool          // the runtime holds nothing of it since its last run ended
	orphan  bool          // the container is gone, the last reader removes the folder
	pause   time.Duration // before the last restart by policy
}

// A container at one moment; package state says what is known of it.
type (
	Snapshot = state.Snapshot
	State    = state.State
)

// Proc is the current run of a container: it exists from before the program
// runs until its end is recorded.
type Proc struct {
	Pid       int
	StartTime uint64
	Rootfs    string   // on the host, while the container runs
	TTY       *os.File // the terminal's master, nil without one; closed when the run is over
	PidFD     *os.File // may be nil after an adoption
}

func newContainer(s *Snapshot) *Container {
	ct := &Container{id: s.ID, turn: make(chan struct{}, 1), changed: make(chan struct{})}
	ct.snap.Store(s)
	return ct
}

// ID is the full id.
func (ct *Container) ID() string { return ct.id }

// Snapshot is the container as it is now.
func (ct *Container) Snapshot() *Snapshot { return ct.snap.Load() }

// lock waits for the container's turn. Whoever has it may start, stop, or
// remove the container. unlock may be called once.
func (ct *Container) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case ct.turn <- struct{}{}:
		return func() { <-ct.turn }, nil
	default:
	}
	select {
	case ct.turn <- struct{}{}:
		return func() { <-ct.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// update changes the container: f gets a copy of the snapshot, whose pointers
// it may replace but not follow. It must be quick.
func (ct *Container) update(f func(*Snapshot)) *Snapshot {
	s, _ := ct.tryUpdate(func(s *Snapshot) error { f(s); return nil })
	return s
}

// tryUpdate is update for changes that may be refused; then nothing changes.
func (ct *Container) tryUpdate(f func(*Snapshot) error) (*Snapshot, error) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	s := *ct.snap.Load()
	if err := f(&s); err != nil {
		return nil, err
	}
	ct.snap.Store(&s)
	close(ct.changed)
	ct.changed = make(chan struct{})
	return &s, nil
}

// await waits until done says so of the state, which it is asked at once and
// after each change.
func (ct *Container) await(ctx context.Context, done func(*Snapshot) bool) (*Snapshot, error) {
	for {
		ct.mu.Lock()
		s, changed := ct.snap.Load(), ct.changed
		ct.mu.Unlock()
		if done(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// keep puts AutoRemove off (1), or no longer (-1).
func (ct *Container) keep(n int) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.kept += n
}

func (ct *Container) isKept() bool {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	return ct.kept > 0
}

// Proc is the current run, nil when there is none.
func (ct *Container) Proc() *Proc {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	return ct.proc
}

// onNextProc has f called by the next start, when the process is made and
// waits before it becomes the program: a reader that opens the output then
// misses nothing. f must be quick, and may be called although the start then
// fails. If there is a run already, f is not called and the run is the result.
func (ct *Container) onNextProc(f func(*Proc)) (now *Proc, cancel func()) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	if ct.proc != nil {
		return ct.proc, func() {}
	}
	ct.lastKey++
	key := ct.lastKey
	if ct.onProc == nil {
		ct.onProc = make(map[int]func(*Proc))
	}
	ct.onProc[key] = f
	return nil, func() {
		ct.mu.Lock()
		defer ct.mu.Unlock()
		delete(ct.onProc, key)
	}
}

// setProc begins a run.
func (ct *Container) setProc(p *Proc) {
	ct.mu.Lock()
	ct.proc = p
	waiting := ct.onProc
	ct.onProc = nil
	ct.mu.Unlock()
	for _, f := range waiting {
		f(p)
	}
}

// setFreed notes whether the runtime holds something of the container.
func (ct *Container) setFreed(freed bool) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.freed = freed
}

func (ct *Container) isFreed() bool {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	return ct.freed
}

// endProc ends the run.
func (ct *Container) endProc() {
	ct.mu.Lock()
	p := ct.proc
	ct.proc = nil
	ct.mu.Unlock()
	if p == nil {
		return
	}
	for _, f := range []*os.File{p.TTY, p.PidFD} {
		if f != nil {
			f.Close()
		}
	}
}
