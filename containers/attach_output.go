package containers

import (
	"context"
	"errors"
	"io"

	"github.com/jobengine/engine/logs/driver"
)

// outputCopy writes a run's output to a client as it comes. A client that is
// slower than the runtime keeps output is given the rest from the log, without a
// gap, and comes back when it has caught up: nobody ever waits for it.
type outputCopy struct {
	out Output
	w   [2]io.Writer // nil: not wanted
	off [2]int64     // what comes next of each stream

	open driver.Open // of the log; nil if there is none to be read
	path string

	check Commit // not after off: where to find the rest in the log

	lost func(bytes int64) // told of what nobody has any more; may be nil
}

// errClientGone: writing to the client failed, whatever the reason.
var errClientGone = errors.New("the client is gone")

// run copies until both streams have ended, or until there is no more and over
// says that the run is. When leave ends it gives what is there already and returns.
func (o *outputCopy) run(ctx, leave, over context.Context) error {
	either, cancel := context.WithCancel(leave)
	defer cancel()
	defer context.AfterFunc(over, cancel)()
	buf := make([]byte, 32<<10)
	for gone := false; ; {
		leaving := leave.Err() != nil
		idle, ended, err := o.pass(ctx, leave, buf)
		switch {
		case err != nil:
			return err
		case ended || leaving || (idle && gone):
			return nil
		case idle:
			err := o.out.Wait(either)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, io.EOF), over.Err() != nil:
				gone = true
			case err != nil && leave.Err() == nil:
				return err
			}
		}
	}
}

// pass gives what is there of each stream, at most a buffer full.
func (o *outputCopy) pass(ctx, leave context.Context, buf []byte) (idle, ended bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, false, err
	}
	o.remember(o.out.Committed())
	idle, ended = true, true
	for _, s := range []Stream{Stdout, Stderr} {
		p := buf
		if o.w[s] == nil {
			o.off[s], p = o.out.Written(s), buf[:1]
		}
		n, err := o.out.ReadAt(s, p, o.off[s])
		switch {
		case errors.Is(err, io.EOF):
			continue
		case errors.Is(err, ErrLagged):
			return false, false, o.catchUp(leave)
		case err != nil:
			return false, false, err
		}
		ended = false
		if n == 0 || o.w[s] == nil {
			continue
		}
		idle = false
		if _, err := o.w[s].Write(p[:n]); err != nil {
			return false, false, errClientGone
		}
		o.off[s] += int64(n)
	}
	return idle, ended, nil
}

// remember keeps a commit that is not after what the client has had.
func (o *outputCopy) remember(c Commit) {
	for s, w := range o.w {
		if w != nil && c.Offset[s] > o.off[s] {
			return
		}
	}
	o.check = c
}

// catchUp goes on from the log until the runtime has again what comes next.
func (o *outputCopy) catchUp(leave context.Context) error {
	if o.open == nil || o.check.Log.File == 0 {
		o.skip()
		return nil
	}
	to := newCatchUp(o.out)
	r, err := o.open(o.path, driver.ReadOptions{Tail: -1, From: o.check.Log, Follow: to})
	if errors.Is(err, driver.ErrGone) {
		o.skip()
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	return o.readRest(leave, r, to)
}

// readRest gives the client what the log has beyond what it has had. What it has
// had since the commit is in the log once more.
func (o *outputCopy) readRest(leave context.Context, r driver.Reader, to *catchUp) error {
	at := o.check.Offset
	for {
		e, err := r.Next(leave)
		if leave.Err() != nil {
			return nil
		}
		if errors.Is(err, errCaughtUp) {
			at, o.off, o.check = to.at.Offset, to.at.Offset, to.at
			if o.lags() {
				continue // the container was faster
			}
			return nil
		}
		if err != nil {
			return err
		}
		s := Stdout
		if e.Stream == driver.Stderr {
			s = Stderr
		}
		if o.w[s] == nil {
			continue
		}
		line, begin := e.Line, at[s]
		if e.Raw != nil {
			line = e.Raw
		}
		at[s] += int64(len(line))
		if at[s] <= o.off[s] {
			continue
		}
		if had := o.off[s] - begin; had > 0 {
			line = line[had:]
		}
		o.off[s] = at[s]
		if _, err := o.w[s].Write(line); err != nil {
			return errClientGone
		}
	}
}

// lags tells whether what comes next is not kept any more.
func (o *outputCopy) lags() bool {
	for _, s := range []Stream{Stdout, Stderr} {
		if o.w[s] != nil && o.out.FirstKept(s) > o.off[s] {
			return true
		}
	}
	return false
}

// skip goes on with the oldest output that there is: without a log, or after
// its rotation has removed the rest, what lies between is lost for this client.
func (o *outputCopy) skip() {
	var lost int64
	for _, s := range []Stream{Stdout, Stderr} {
		if first := o.out.FirstKept(s); o.w[s] != nil && first > o.off[s] {
			lost += first - o.off[s]
			o.off[s] = first
		}
	}
	o.check = Commit{}
	if lost > 0 && o.lost != nil {
		o.lost(lost)
	}
}

// errCaughtUp ends the reading of a log at the last commit.
var errCaughtUp = errors.New("all that is committed was read")

// catchUp is a driver.Follower that does not wait: it ends reading at a commit,
// so that the streams can go on from exactly there.
type catchUp struct {
	out Output
	at  Commit
}

func newCatchUp(out Output) *catchUp { return &catchUp{out: out, at: out.Committed()} }

func (f *catchUp) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errCaughtUp
}

func (f *catchUp) Committed() driver.Position {
	f.at = f.out.Committed()
	return f.at.Log
}
