package supervisor

import (
	"encoding/json"
	"os"
	"slices"
	"sync"

	"github.com/jobengine/engine/supervisor/protocol"
)

// exits are the ends of processes that no daemon has acknowledged yet, in the
// order in which they came.
type exits struct {
	mu      sync.Mutex
	changed *sync.Cond
	epoch   uint64
	last    uint64
	pending []protocol.Exit
}

func (x *exits) init(epoch uint64) {
	x.changed = sync.NewCond(&x.mu)
	x.epoch = epoch
}

func (x *exits) add(e protocol.Exit) {
	x.mu.Lock()
	x.last++
	e.Number, e.Epoch = x.last, x.epoch
	x.pending = append(x.pending, e)
	x.mu.Unlock()
	x.changed.Broadcast()
}

// execsOf lists the execs of a container whose exits are pending.
func (x *exits) execsOf(id string) (execs []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.pending {
		if e.Container == id && e.ExecID != "" {
			execs = append(execs, e.ExecID)
		}
	}
	return execs
}

// ack takes an exit off and returns it.
func (x *exits) ack(a protocol.Ack) (protocol.Exit, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a.Epoch != x.epoch {
		return protocol.Exit{}, false
	}
	for i, e := range x.pending {
		if e.Number == a.Number {
			x.pending = slices.Delete(x.pending, i, i+1)
			return e, true
		}
	}
	return protocol.Exit{}, false
}

// ack forgets an exit that a daemon has dealt with. That of a container stays in
// its record until Delete.
func (s *supervisor) ack(a protocol.Ack) {
	if e, ok := s.exits.ack(a); ok && e.ExecID != "" {
		s.recording(func() { _ = os.Remove(execPath(s.dir(e.Container), e.ExecID)) })
	}
}

func (x *exits) wake() { x.changed.Broadcast() }

// push sends each exit once to a connection, the pending ones first, until it
// closes. A connection that does not read holds up nobody else.
func (x *exits) push(conn *protocol.Conn, done <-chan struct{}) {
	var sent uint64
	for {
		e, ok := x.next(sent, done)
		if !ok {
			return
		}
		sent = e.Number
		body, err := json.Marshal(e)
		if err != nil {
			continue
		}
		if conn.Send(protocol.Message{Op: protocol.OpExit, Body: body}) != nil {
			return
		}
	}
}

func (x *exits) next(after uint64, done <-chan struct{}) (protocol.Exit, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		select {
		case <-done:
			return protocol.Exit{}, false
		default:
		}
		for _, e := range x.pending {
			if e.Number > after {
				return e, true
			}
		}
		x.changed.Wait()
	}
}
