package execs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/detachkeys"
	"github.com/jobengine/engine/internal/durable"
)

// Restore finds the execs of a running container that an earlier daemon knew:
// running are those that still run, ended those whose exit is about to be told.
func (x *Execs) Restore(ctx context.Context, ct Container, running, ended []string) {
	dir := x.recordDir(ct.ID())
	_ = durable.Sweep(durable.OS, dir)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		var r record
		err := durable.ReadJSON(durable.OS, filepath.Join(dir, entry.Name()), &r)
		if err == nil && (r.Version > recordVersion || r.ID+".json" != entry.Name() || len(r.Cmd) == 0) {
			err = errors.New("it is of a newer engine, or damaged")
		}
		if err != nil {
			x.Log.Warnf("container %s: the record %s of an exec can't be read: %v", ct.ID(), entry.Name(), err)
			continue
		}
		e := &execution{id: r.ID, ct: ct, request: r.request(), begun: r.Begun, started: make(chan struct{}), ended: make(chan struct{})}
		if r.DetachKeys != "" {
			e.keys, _ = detachkeys.Parse(r.DetachKeys) // it was parsed before
		}
		x.addAs(e, r.Number)
		switch {
		case r.ExitCode != nil:
			close(e.started)
			e.end(*r.ExitCode)
			e.mu.Lock()
			e.endedAt = r.EndedAt
			e.mu.Unlock()
			x.sweepLater(x.Life)
		case slices.Contains(running, e.id):
			x.adopt(ctx, e)
		case slices.Contains(ended, e.id):
			close(e.started)
		case r.Begun:
			e.unbegin() // the daemon died before it had asked for the process
		}
	}
}

// adopt takes the streams of an exec over. There is no client yet: what is
// written is thrown away, as after a client that has left.
func (x *Execs) adopt(ctx context.Context, e *execution) {
	defer close(e.started)
	p, s, err := x.Runtime.TakeExec(ctx, e.ct.ID(), e.id)
	if err != nil {
		if !errors.Is(err, runtime.ErrAbsent) { // else it has just ended, which will be told
			x.Log.Warnf("container %s: exec %s runs on, but its streams can't be taken over: %v", e.ct.ID(), e.id, err)
		}
		return
	}
	p.PidFD.Close()
	link := &execLink{x: x, e: e, keys: e.keys, tty: s.TTY, output: [2]*os.File{s.Stdout, s.Stderr}, relay: [2]*relay{{}, {}}}
	if link.keys == nil {
		link.keys = detachkeys.Default()
	}
	link.copied = link.copyOutput(engine.Streams{Stdout: link.relay[0], Stderr: link.relay[1]})
	go func() {
		<-link.copied
		select {
		case <-e.ended:
		case <-x.Life.Done():
		}
		link.forgetTTY()
	}()
	e.mu.Lock()
	e.pid, e.tty = p.Pid, s.TTY
	if s.TTY != nil || s.Stdout != nil || s.Stderr != nil {
		e.alone = link
	}
	e.mu.Unlock()
}

// reconnect gives the streams of an exec that has lost its client with an earlier
// daemon; nil if it has not.
func (e *execution) reconnect() *execLink {
	e.mu.Lock()
	defer e.mu.Unlock()
	link := e.alone
	if e.exitCode != nil {
		return nil
	}
	e.alone = nil
	return link
}

// relay writes to whom there is.
type relay struct {
	mu sync.Mutex
	to io.Writer
}

func (r *relay) set(to io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// Write never fails: a client that is gone gets no more.
func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	if to != nil {
		if _, err := to.Write(p); err != nil {
			r.set(nil)
		}
	}
	return len(p), nil
}
