package overlay2

import "sync"

// turns lets one call at a time work on a layer. Callers serialise theirs, but
// two mounts above one another would be found too late.
type turns struct {
	mu      sync.Mutex
	waiting map[string]*turn
}

type turn struct {
	sync.Mutex
	users int
}

// take waits for the layer's turn; the result gives it back.
func (t *turns) take(id string) (release func()) {
	t.mu.Lock()
	if t.waiting == nil {
		t.waiting = map[string]*turn{}
	}
	w := t.waiting[id]
	if w == nil {
		w = &turn{}
		t.waiting[id] = w
	}
	w.users++
	t.mu.Unlock()
	w.Lock()
	return func() {
		w.Unlock()
		t.mu.Lock()
		if w.users--; w.users == 0 {
			delete(t.waiting, id)
		}
		t.mu.Unlock()
	}
}
