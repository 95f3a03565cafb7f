package containers

import (
	"context"
	"errors"
	"sync"
)

// liveRun is a run of a container whose output is open.
type liveRun struct {
	proc  *Proc
	out   Output
	from  [2]int64
	check Commit // a commit that is not after from
}

// nextRun waits for a run of a container: the present one, or the next.
type nextRun struct {
	ct     *Container
	cancel func()
	got    chan struct{} // closed when there is a result

	mu     sync.Mutex
	live   *liveRun
	err    error
	told   bool
	closed bool

	unlogged bool // no log has what a slow client misses
}

// seize takes hold of the present run's output as of now, or sees to it that
// the next run's is opened before its program runs.
func (a *attachment) seize(ctx context.Context) (*nextRun, error) {
	// Not cut off by a client that goes: what was half opened could not be closed.
	ctx = context.WithoutCancel(ctx)
	n := &nextRun{ct: a.ct, got: make(chan struct{}), unlogged: a.unlogged()}
	var now *Proc
	now, n.cancel = a.ct.onNextProc(func(p *Proc) {
		out, err := a.c.runtime.Output(ctx, a.ct.id)
		n.tell(p, out, err, false)
	})
	if now == nil {
		return n, nil
	}
	out, err := a.c.runtime.Output(ctx, a.ct.id)
	if err != nil && !errors.Is(err, ErrAbsent) { // that one: it has just ended
		return nil, err
	}
	n.tell(now, out, err, true)
	return n, nil
}

// tell gives the result: a run's output from its beginning on, or from now on.
func (n *nextRun) tell(p *Proc, out Output, err error, now bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told || n.closed {
		if err == nil {
			out.Close()
		}
		return
	}
	n.told = true
	defer close(n.got)
	if err != nil {
		n.err = err
		return
	}
	n.live = &liveRun{proc: p, out: out, check: out.Committed()}
	if now {
		n.live.from = [2]int64{out.Written(Stdout), out.Written(Stderr)}
	}
	if n.unlogged {
		out.ReadTo(n.live.from)
	}
}

// ready tells whether there is a run already.
func (n *nextRun) ready() bool {
	select {
	case <-n.got:
		return true
	default:
		return false
	}
}

// wait gives the run; nil and no error if there will be none, because the
// container was removed, has just ended, or the client has gone.
func (n *nextRun) wait(ctx context.Context) (*liveRun, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = n.ct.await(ctx, func(s *Snapshot) bool { return s.State.Removed })
	}()
	select {
	case <-n.got:
	case <-ctx.Done():
		if !n.ready() { // a container that is removed when it ends may have been there in between
			return nil, nil
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if errors.Is(n.err, ErrAbsent) {
		return nil, nil
	}
	return n.live, n.err
}

func (n *nextRun) close() {
	n.cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.live != nil {
		n.live.out.Close()
	}
}
