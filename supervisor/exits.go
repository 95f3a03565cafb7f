package supervisor

import (
	"encoding/json"
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

func (x *exits) ack(a protocol.Ack) {
	if a.Epoch != x.epoch {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pending = slices.DeleteFunc(x.pending, func(e protocol.Exit) bool { return e.Number == a.Number })
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
