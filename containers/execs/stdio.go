package execs

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/detachkeys"
	"github.com/jobengine/engine/jobs"
)

// execGrace is how long output is still waited for after a process's end, when
// others that it has started hold its streams.
const execGrace = 2 * time.Second

// execLink is the daemon's side of an exec's streams.
type execLink struct {
	x    *Execs
	e    *execution
	keys []byte

	tty    *os.File    // or
	stdin  *os.File    // nil: not attached
	output [2]*os.File // nil: not attached

	// Of an exec that was adopted, whose output is read all the time:
	relay  [2]*relay
	copied <-chan struct{} // closed at the output's end
}

// pipes makes what the process gets as descriptors; nil is /dev/null. With a
// terminal there are none.
func (l *execLink) pipes(detached bool) (theirs [3]*os.File, err error) {
	q := l.e.request
	if q.Tty || detached {
		return theirs, nil
	}
	defer func() {
		if err != nil {
			l.close()
			for _, f := range theirs {
				if f != nil {
					f.Close()
				}
			}
		}
	}()
	if q.AttachStdin {
		if theirs[0], l.stdin, err = streams.Pipe(0); err != nil {
			return theirs, err
		}
	}
	for s, wanted := range [2]bool{q.AttachStdout, q.AttachStderr} {
		if wanted {
			if theirs[1+s], l.output[s], err = streams.Pipe(1); err != nil {
				return theirs, err
			}
		}
	}
	return theirs, nil
}

func (l *execLink) close() {
	for _, f := range []*os.File{l.tty, l.stdin, l.output[0], l.output[1]} {
		if f != nil {
			f.Close()
		}
	}
}

// discard lets a process run that nobody is connected to.
func (l *execLink) discard() {
	if l.tty != nil {
		done := l.copyOutput(engine.Streams{})
		go func() {
			<-done
			l.forgetTTY()
		}()
	}
}

// connect copies between the client and the process until the process has ended
// and all it wrote was given, or the client leaves. What is written then is read
// and thrown away, so that the process never waits for a client that is gone.
func (l *execLink) connect(ctx context.Context, s engine.Streams) {
	leave, left := context.WithCancel(ctx)
	defer left()
	s.Stdout, s.Stderr = streams.Gate{Open: leave, Writer: s.Stdout}, streams.Gate{Open: leave, Writer: s.Stderr}
	output := l.copied
	if output == nil {
		output = l.copyOutput(s)
		go func() {
			<-output
			<-l.e.ended
			l.forgetTTY()
			if l.stdin != nil {
				l.stdin.Close()
			}
		}()
	} else {
		l.relay[0].set(s.Stdout)
		l.relay[1].set(s.Stderr)
		defer l.relay[0].set(nil)
		defer l.relay[1].set(nil)
	}
	l.copyInput(s.Stdin, left)
	select {
	case <-l.e.ended:
	case <-leave.Done():
		if l.stdin != nil { // its writer may be waiting for a process that does not read
			l.stdin.Close()
		}
		return
	}
	grace := time.NewTimer(execGrace)
	defer grace.Stop()
	select {
	case <-output:
	case <-grace.C:
	case <-leave.Done():
	}
}

// again connects a client to an exec whose client went with an earlier daemon.
// When this one leaves, another one may come.
func (l *execLink) again(ctx context.Context, job *engine.StreamJob[jobs.ExecStartOpen]) error {
	defer func() {
		l.e.mu.Lock()
		defer l.e.mu.Unlock()
		l.e.alone = l
	}()
	if err := job.Open(jobs.ExecStartOpen{Tty: l.e.request.Tty}); err != nil {
		return nil
	}
	l.connect(ctx, job.Streams)
	return nil
}

// copyOutput copies until the streams' ends, which the result tells. A nil
// writer, and one that has failed, get nothing.
func (l *execLink) copyOutput(s engine.Streams) <-chan struct{} {
	var all sync.WaitGroup
	copyFrom := func(f *os.File, w io.Writer) {
		if f == nil {
			return
		}
		all.Add(1)
		go func() {
			defer all.Done()
			// A daemon that stops lets go of the streams.
			defer context.AfterFunc(l.x.Life, func() { f.Close() })()
			if w != nil {
				_, _ = io.Copy(w, streams.OnlyReader{Reader: f})
			}
			_, _ = io.Copy(io.Discard, streams.OnlyReader{Reader: f})
			if f != l.tty {
				f.Close()
			}
		}()
	}
	copyFrom(l.tty, s.Stdout)
	copyFrom(l.output[0], s.Stdout)
	copyFrom(l.output[1], s.Stderr)
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

// copyInput gives the process what the client types. Its end is the end of the
// process's input; that of a terminal can't end, so there the client leaves.
func (l *execLink) copyInput(from io.Reader, leave func()) {
	var to *os.File
	if l.e.request.AttachStdin {
		if to = l.stdin; to == nil {
			to = l.tty
		}
	}
	go func() {
		if to == nil {
			// Somebody has to read, or a client's end would not be noticed.
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if to == l.tty {
			from = detachkeys.NewReader(from, l.keys)
		}
		_, err := io.Copy(streams.OnlyWriter{Writer: to}, from)
		switch {
		case errors.Is(err, detachkeys.ErrDetached):
			l.e.ct.Event(events.ActionExecDetach, "execID", l.e.id)
			leave()
		case streams.IsBroken(err):
			_, _ = io.Copy(io.Discard, from)
		case to == l.tty:
			leave()
		default:
			to.Close()
		}
	}()
}

// forgetTTY closes the terminal, which a resize may be using.
func (l *execLink) forgetTTY() {
	if l.tty == nil {
		return
	}
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.e.tty = nil
	l.tty.Close()
}
