package client

import (
	"iter"
	"sync"

	"github.com/jobengine/engine/supervisor/protocol"
)

// oomQueue keeps the newest of what was told of each container until somebody
// takes it; the connection never waits.
type oomQueue struct {
	mu      sync.Mutex
	changed *sync.Cond
	order   []string
	news    map[string]protocol.OOM
	ended   bool
}

func (q *oomQueue) init() {
	q.changed = sync.NewCond(&q.mu)
	q.news = map[string]protocol.OOM{}
}

func (q *oomQueue) add(o protocol.OOM) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, waits := q.news[o.Container]; !waits {
		q.order = append(q.order, o.Container)
	}
	q.news[o.Container] = o
	q.changed.Signal()
}

func (q *oomQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.changed.Broadcast()
}

func (q *oomQueue) next() (protocol.OOM, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.order) == 0 && !q.ended {
		q.changed.Wait()
	}
	if q.ended {
		return protocol.OOM{}, false
	}
	id := q.order[0]
	q.order = q.order[1:]
	o := q.news[id]
	delete(q.news, id)
	return o, true
}

// OOMs gives containers that live and have lost processes because their memory
// ran out, whenever there are more of them, and what is known already to a new
// connection. It ends with Close.
func (c *Client) OOMs() iter.Seq[protocol.OOM] {
	return func(yield func(protocol.OOM) bool) {
		for {
			o, ok := c.ooms.next()
			if !ok || !yield(o) {
				return
			}
		}
	}
}
