package supervisor

import (
	"sync"
	"time"
)

// gate lets everything that changes containers end before an upgrade, and holds
// back what comes meanwhile.
type gate struct {
	mu      sync.Mutex
	changed *sync.Cond
	inside  int
	closing bool // requests wait
	closed  bool // everybody waits
}

func newGate() *gate {
	g := &gate{}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// enter is for requests. leave has to be called.
func (g *gate) enter() (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.closing {
		g.changed.Wait()
	}
	g.inside++
	return g.leave
}

// enterEnd is for the end of a process: a request that is inside may be waiting
// for it.
func (g *gate) enterEnd() (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.closed {
		g.changed.Wait()
	}
	g.inside++
	return g.leave
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.changed.Broadcast()
}

// close lets no request in any more and waits until nobody is inside. If that
// takes longer than patience, the gate stays open.
func (g *gate) close(patience time.Duration) (ok bool) {
	late := false
	timer := time.AfterFunc(patience, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		late = true
		g.changed.Broadcast()
	})
	defer timer.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
	for g.inside > 0 && !late {
		g.changed.Wait()
	}
	g.closed = g.inside == 0
	if !g.closed {
		g.closing = false
		g.changed.Broadcast()
	}
	return g.closed
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing, g.closed = false, false
	g.changed.Broadcast()
}
