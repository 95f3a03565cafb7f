package supervisor

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// ooms are the living containers that have lost processes for lack of memory.
// It is a board, not a queue: who looks late sees the newest number.
type ooms struct {
	mu      sync.Mutex
	changed *sync.Cond
	board   map[string]protocol.OOM
}

func (o *ooms) init() {
	o.changed = sync.NewCond(&o.mu)
	o.board = map[string]protocol.OOM{}
}

func (o *ooms) set(news protocol.OOM) {
	o.mu.Lock()
	o.board[news.Container] = news
	o.mu.Unlock()
	o.changed.Broadcast()
}

func (o *ooms) remove(id string) {
	o.mu.Lock()
	delete(o.board, id)
	o.mu.Unlock()
}

func (o *ooms) wake() { o.changed.Broadcast() }

// push tells a connection what is on the board and whatever comes, until done.
func (o *ooms) push(conn *protocol.Conn, done <-chan struct{}) {
	told := map[string]protocol.OOM{}
	for {
		news, ok := o.next(told, done)
		if !ok {
			return
		}
		body, err := json.Marshal(news)
		if err != nil || conn.Send(protocol.Message{Op: protocol.OpOOM, Body: body}) != nil {
			return
		}
	}
}

func (o *ooms) next(told map[string]protocol.OOM, done <-chan struct{}) (protocol.OOM, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		select {
		case <-done:
			return protocol.OOM{}, false
		default:
		}
		maps.DeleteFunc(told, func(id string, _ protocol.OOM) bool { _, there := o.board[id]; return !there })
		for id, news := range o.board {
			if told[id] != news {
				told[id] = news
				return news, true
			}
		}
		o.changed.Wait()
	}
}

// oomSettles is how long the kernel may take from the news that memory ran out
// to the death that it counts.
const oomSettles = time.Second

// watchOOM waits for a container's memory to run out, until its end.
func (s *supervisor) watchOOM(c *container) {
	w, ok := c.driver.(execdriver.OOMWatcher)
	if !ok {
		return
	}
	f, err := w.WatchOOM(context.Background(), c.id)
	if err != nil {
		// Without it, only the end of the container tells.
		logrus.Debugf("container %s: nobody will tell when its memory runs out: %v", c.id, err)
		return
	}
	c.mu.Lock()
	if c.exit != nil || c.ending {
		c.mu.Unlock()
		f.Close()
		return
	}
	c.oom = f
	process := c.state.Process
	c.mu.Unlock()
	go func() {
		defer s.ooms.remove(c.id)
		var last uint64
		grown := func() bool {
			n, err := w.OOMKills(context.Background(), c.id)
			if err != nil || n <= last {
				return false
			}
			last = n
			s.ooms.set(protocol.OOM{Container: c.id, Pid: process.Pid, StartTime: process.StartTime, Kills: n})
			return true
		}
		grown() // what a former supervisor has seen, or nobody
		news := make([]byte, 4096)
		for {
			if _, err := f.Read(news); err != nil {
				return // it was closed at the container's end
			}
			for pause, waited := time.Millisecond, time.Duration(0); !grown() && waited < oomSettles; pause *= 2 {
				time.Sleep(pause)
				waited += pause
			}
		}
	}()
}
