package client

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/jobengine/engine/supervisor/protocol"
)

// exitQueue keeps exits between the connection, which must never wait, and the
// daemon, who takes them when it can.
type exitQueue struct {
	out     chan protocol.Exit
	mu      sync.Mutex
	changed *sync.Cond
	queue   []protocol.Exit
	known   map[protocol.Ack]bool // told and not acknowledged
	ended   bool
	stop    chan struct{}
}

func (q *exitQueue) init() {
	q.out = make(chan protocol.Exit)
	q.stop = make(chan struct{})
	q.changed = sync.NewCond(&q.mu)
	q.known = map[protocol.Ack]bool{}
}

func (q *exitQueue) add(e protocol.Exit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := protocol.Ack{Epoch: e.Epoch, Number: e.Number}
	if q.known[key] {
		return
	}
	q.known[key] = true
	q.queue = append(q.queue, e)
	q.changed.Signal()
}

func (q *exitQueue) acked(a protocol.Ack) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.known, a)
}

func (q *exitQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended = true
		close(q.stop)
		q.changed.Signal()
	}
}

func (q *exitQueue) feed() {
	defer close(q.out)
	for {
		q.mu.Lock()
		for len(q.queue) == 0 && !q.ended {
			q.changed.Wait()
		}
		if q.ended {
			q.mu.Unlock()
			return
		}
		e := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		select {
		case q.out <- e:
		case <-q.stop:
			return
		}
	}
}

// told takes what the supervisor says by itself. It must not wait.
func (c *Client) told(m protocol.Message) {
	switch m.Op {
	case protocol.OpExit:
		var e protocol.Exit
		if json.Unmarshal(m.Body, &e) == nil {
			c.toldExit(e)
		}
	case protocol.OpOOM:
		var o protocol.OOM
		if json.Unmarshal(m.Body, &o) == nil {
			c.ooms.add(o)
		}
	}
}

func (c *Client) toldExit(e protocol.Exit) {
	if e.ExecID == "" {
		c.releaseRun(e.Container, e.Pid)
	}
	c.exits.add(e)
}

// Exits gives the ends of containers and of their execs, in the order in which
// the supervisor recorded them. One that was not acknowledged is told again by a
// later connection, also to the next daemon. The channel is closed by Close.
func (c *Client) Exits() <-chan protocol.Exit { return c.exits.out }

// Ack tells the supervisor that an exit was dealt with. It does not wait: if the
// supervisor is away the exit is told again.
func (c *Client) Ack(e protocol.Exit) {
	a := protocol.Ack{Epoch: e.Epoch, Number: e.Number}
	c.exits.acked(a)
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l == nil {
		return
	}
	go func() { _ = l.do(context.Background(), protocol.OpAck, a) }()
}
