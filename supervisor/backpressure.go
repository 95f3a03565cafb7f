package supervisor

import (
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

const (
	// holdAt is how much output may wait for the only reader before the container does.
	holdAt = spool.Window / 2
	// holdPatience is for how long a container waits for a reader that stands
	// still: as one that is alive may, and one that has vanished must not.
	holdPatience = 10 * time.Second
	// reunion is how long a supervisor that has taken a container over waits for the
	// daemon to tell who reads: without it the output would run away from its reader meanwhile.
	reunion = 2 * time.Second
)

// read notes how far a client is.
func (n *session) read(q protocol.Watch) {
	n.mu.Lock()
	c := n.watches[q.Key]
	n.mu.Unlock()
	if c == nil || q.Reader == nil {
		return
	}
	o := c.output
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, w := range o.watches {
		if w.owner == n && w.key == q.Key {
			o.watches[i].read = q.Reader
			o.wakeHeld()
		}
	}
}

// wakeHeld lets pumps look again whether they must wait; the lock is held.
func (o *output) wakeHeld() {
	close(o.moved)
	o.moved = make(chan struct{})
}

// awaitReader waits while the only one who wants a stream that no log keeps is
// far behind. It is what a pipe would do, with an end: a reader that stands
// still for too long loses what it has not read.
func (o *output) awaitReader(s spool.Stream) {
	since, at := time.Now(), int64(-1)
	for !o.ended.Load() {
		o.mu.Lock()
		if left := time.Until(o.reunited); len(o.watches) == 0 && left > 0 {
			moved := o.moved
			o.mu.Unlock()
			o.awaitMove(moved, left)
			continue
		}
		if len(o.watches) != 1 || o.watches[0].read == nil {
			o.mu.Unlock()
			return
		}
		read, moved := o.watches[0].read[s], o.moved
		if o.spool.Written(s)-read < holdAt {
			o.mu.Unlock()
			return
		}
		if read != at {
			since, at = time.Now(), read
		}
		left := holdPatience - time.Since(since)
		if left <= 0 {
			o.watches[0].read = nil
			logrus.Warnf("container %s: the only reader of its output stands still, and is no longer waited for", o.id)
		}
		o.mu.Unlock()
		if left <= 0 {
			return
		}
		o.awaitMove(moved, left)
	}
}

// awaitMove waits until something has moved, the output is stopped, or the time is over.
func (o *output) awaitMove(moved <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-moved:
	case <-o.stop:
	case <-timer.C:
	}
}
