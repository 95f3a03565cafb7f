package images

import (
	"context"
	"sync"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
)

// transferKey says which pulls are the same: all who have it were shown these
// manifests by the registry, each with his own credentials.
type transferKey struct {
	repository string
	top, image digest.Digest
}

// transfers are the pulls that are under way. Who wants what is on its way
// already joins, and sees the same progress. The transfer ends early when the
// last one has gone.
type transfers struct {
	mu  sync.Mutex
	all map[transferKey]*transfer
}

type transfer struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
	users  int   // guarded by transfers.mu
	relay  relay
}

// join runs the transfer or waits for the one that runs, and tells its progress.
// When ctx ends, so does the wait; the last one to leave waits for the transfer
// to have cleaned up.
func (t *transfers) join(ctx context.Context, key transferKey, tell func(jsonstream.Message), run func(context.Context, func(jsonstream.Message)) error) error {
	for {
		t.mu.Lock()
		x := t.all[key]
		if x == nil {
			x = t.start(key, run)
		} else if x.users == 0 { // it is being given up
			t.mu.Unlock()
			<-x.done
			continue
		}
		x.users++
		t.mu.Unlock()
		return t.follow(ctx, x, tell)
	}
}

// start begins a transfer; t.mu is held.
func (t *transfers) start(key transferKey, run func(context.Context, func(jsonstream.Message)) error) *transfer {
	ctx, cancel := context.WithCancel(context.Background())
	x := &transfer{cancel: cancel, done: make(chan struct{})}
	if t.all == nil {
		t.all = map[transferKey]*transfer{}
	}
	t.all[key] = x
	go func() {
		defer cancel()
		defer beThrifty()()
		x.err = run(ctx, x.relay.tell)
		t.mu.Lock()
		delete(t.all, key)
		t.mu.Unlock()
		x.relay.end()
		close(x.done)
	}()
	return x
}

func (t *transfers) follow(ctx context.Context, x *transfer, tell func(jsonstream.Message)) error {
	x.relay.follow(ctx, tell) // until its end, or ours
	t.mu.Lock()
	x.users--
	last := x.users == 0
	t.mu.Unlock()
	if ctx.Err() == nil {
		<-x.done
		return x.err
	}
	if last {
		x.cancel()
		<-x.done
	}
	return ctx.Err()
}

// relay hands messages to any number of listeners. It never waits for one: who
// is slow skips amounts, but no change of a status.
type relay struct {
	mu        sync.Mutex
	latest    []jsonstream.Message // of each id, in the order of their first
	listeners map[*listener]bool
	ended     bool
}

type listener struct {
	pending []jsonstream.Message
	wake    chan struct{} // has room for one
}

func (r *relay) tell(m jsonstream.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest = merge(r.latest, m, func(old jsonstream.Message) bool { return old.ID == m.ID })
	for l := range r.listeners {
		l.pending = merge(l.pending, m, func(old jsonstream.Message) bool { return old.ID == m.ID && old.Status == m.Status })
		l.alert()
	}
}

// merge replaces the message that m makes old, or appends m.
func merge(list []jsonstream.Message, m jsonstream.Message, same func(jsonstream.Message) bool) []jsonstream.Message {
	for n := len(list) - 1; n >= 0; n-- {
		if same(list[n]) {
			list[n] = m
			return list
		}
		if list[n].ID == m.ID {
			break
		}
	}
	return append(list, m)
}

func (l *listener) alert() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (r *relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for l := range r.listeners {
		l.alert()
	}
}

// follow tells what there is and what comes, until the end or until ctx ends.
func (r *relay) follow(ctx context.Context, tell func(jsonstream.Message)) {
	l := &listener{wake: make(chan struct{}, 1)}
	r.mu.Lock()
	l.pending = append(l.pending, r.latest...)
	if r.listeners == nil {
		r.listeners = map[*listener]bool{}
	}
	r.listeners[l] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.listeners, l)
	}()
	for {
		r.mu.Lock()
		batch, ended := l.pending, r.ended
		l.pending = nil
		r.mu.Unlock()
		for _, m := range batch {
			if ctx.Err() != nil {
				return
			}
			tell(m)
		}
		if ended && len(batch) == 0 {
			return
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}
