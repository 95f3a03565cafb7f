package supervisor

import (
	"encoding/binary"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// watch is an eventfd that a daemon waits on.
type watch struct {
	owner *session
	key   uint64
	fd    *os.File
	// read is how far a client is for which the container waits; nil: it does not.
	read *[spool.Streams]int64
}

// watch registers the eventfd that came along, and signals it once, as something
// may have happened before.
func (n *session) watch(q protocol.Watch, files []*os.File) error {
	c, err := n.s.find(q.ID)
	if err != nil {
		return err
	}
	if len(files) != 1 || c.output == nil {
		return protocol.ErrInvalid
	}
	fd, err := duplicate(files[0])
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		fd.Close()
		return nil
	}
	n.watches[q.Key] = c
	c.output.watch(watch{n, q.Key, fd, q.Reader})
	return nil
}

func (n *session) unwatch(q protocol.Watch) {
	n.mu.Lock()
	c := n.watches[q.Key]
	delete(n.watches, q.Key)
	n.mu.Unlock()
	if c != nil {
		c.output.unwatch(n, q.Key)
	}
}

func (o *output) watch(w watch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watches = append(o.watches, w)
	o.wakeHeld()
	w.tell()
}

func (o *output) unwatch(owner *session, key uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.wakeHeld()
	o.watches = slices.DeleteFunc(o.watches, func(w watch) bool {
		if w.owner != owner || w.key != key {
			return false
		}
		w.fd.Close()
		return true
	})
}

func (o *output) tellWatches() {
	for _, w := range o.watches {
		w.tell()
	}
}

func (o *output) dropWatches() {
	for _, w := range o.watches {
		w.tell()
		w.fd.Close()
	}
	o.watches = nil
}

// tell adds one to the counter. The file is non-blocking and a full counter says enough.
func (w watch) tell() {
	raw, err := w.fd.SyscallConn()
	if err != nil {
		return
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_ = raw.Control(func(fd uintptr) { _, _ = unix.Write(int(fd), one) })
}
