package streams

import (
	"context"
	"errors"
	"io"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/logs/driver"
)

// Copy writes a run's output to a client as it comes. A client that is
// slower than the runtime keeps output is given the rest from the log, without a
// gap, and comes back when it has caught up: nobody ever waits for it.
type Copy struct {
	Out    runtime.Output
	To     [2]io.Writer // nil: not wanted
	Offset [2]int64     // what comes next of each stream

	Open driver.Open // of the log; nil if there is none to be read
	Path string

	Check runtime.Commit // not after Offset: where to find the rest in the log

	Lost func(bytes int64) // told of what nobody has any more; may be nil

	told [2]int64 // to Out.ReadTo
}

// ErrClientGone: writing to the client failed, whatever the reason.
var ErrClientGone = errors.New("the client is gone")

// Run copies until both streams have ended, or until there is no more and over
// says that the run is. When leave ends it gives what is there already and returns.
func (o *Copy) Run(ctx, leave, over context.Context) error {
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
			err := o.Out.Wait(either)
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
func (o *Copy) pass(ctx, leave context.Context, buf []byte) (idle, ended bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, false, err
	}
	o.remember(o.Out.Committed())
	idle, ended = true, true
	for _, s := range []runtime.Stream{runtime.Stdout, runtime.Stderr} {
		p := buf
		if o.To[s] == nil {
			o.Offset[s], p = o.Out.Written(s), buf[:1]
		}
		n, err := o.Out.ReadAt(s, p, o.Offset[s])
		switch {
		case errors.Is(err, io.EOF):
			continue
		case errors.Is(err, runtime.ErrLagged):
			return false, false, o.catchUp(leave)
		case err != nil:
			return false, false, err
		}
		ended = false
		if n == 0 || o.To[s] == nil {
			continue
		}
		idle = false
		if _, err := o.To[s].Write(p[:n]); err != nil {
			return false, false, ErrClientGone
		}
		o.Offset[s] += int64(n)
	}
	o.tell()
	return idle, ended, nil
}

// tellEvery is how much is read between two calls of ReadTo: enough to be rare,
// and less than the runtime lets a reader be behind.
const tellEvery = 128 << 10

// tell has the container wait for a client that nothing else can give the rest to.
func (o *Copy) tell() {
	if o.Open != nil {
		return
	}
	for s := range o.Offset {
		if o.Offset[s]-o.told[s] >= tellEvery {
			o.told = o.Offset
			o.Out.ReadTo(o.told)
			return
		}
	}
}

// remember keeps a commit that is not after what the client has had.
func (o *Copy) remember(c runtime.Commit) {
	for s, w := range o.To {
		if w != nil && c.Offset[s] > o.Offset[s] {
			return
		}
	}
	o.Check = c
}

// catchUp goes on from the log until the runtime has again what comes next.
func (o *Copy) catchUp(leave context.Context) error {
	if o.Open == nil || o.Check.Log.File == 0 {
		o.skip()
		return nil
	}
	to := NewCatchUp(o.Out)
	r, err := o.Open(o.Path, driver.ReadOptions{Tail: -1, From: o.Check.Log, Follow: to})
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
func (o *Copy) readRest(leave context.Context, r driver.Reader, to *CatchUp) error {
	at := o.Check.Offset
	for {
		e, err := r.Next(leave)
		if leave.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrCaughtUp) {
			at, o.Offset, o.Check = to.At.Offset, to.At.Offset, to.At
			if o.lags() {
				continue // the container was faster
			}
			return nil
		}
		if err != nil {
			return err
		}
		s := runtime.Stdout
		if e.Stream == driver.Stderr {
			s = runtime.Stderr
		}
		if o.To[s] == nil {
			continue
		}
		line, begin := e.Line, at[s]
		if e.Raw != nil {
			line = e.Raw
		}
		at[s] += int64(len(line))
		if at[s] <= o.Offset[s] {
			continue
		}
		if had := o.Offset[s] - begin; had > 0 {
			line = line[had:]
		}
		o.Offset[s] = at[s]
		if _, err := o.To[s].Write(line); err != nil {
			return ErrClientGone
		}
	}
}

// lags tells whether what comes next is not kept any more.
func (o *Copy) lags() bool {
	for _, s := range []runtime.Stream{runtime.Stdout, runtime.Stderr} {
		if o.To[s] != nil && o.Out.FirstKept(s) > o.Offset[s] {
			return true
		}
	}
	return false
}

// skip goes on with the oldest output that there is: without a log, or after
// its rotation has removed the rest, what lies between is lost for this client.
func (o *Copy) skip() {
	var lost int64
	for _, s := range []runtime.Stream{runtime.Stdout, runtime.Stderr} {
		if first := o.Out.FirstKept(s); o.To[s] != nil && first > o.Offset[s] {
			lost += first - o.Offset[s]
			o.Offset[s] = first
		}
	}
	o.Check = runtime.Commit{}
	if lost > 0 && o.Lost != nil {
		o.Lost(lost)
	}
}

// ErrCaughtUp ends the reading of a log at the last commit.
var ErrCaughtUp = errors.New("all that is committed was read")

// CatchUp is a driver.Follower that does not wait: it ends reading at a commit,
// so that the streams can go on from exactly there.
type CatchUp struct {
	At  runtime.Commit // that was read to last
	out runtime.Output
}

// NewCatchUp reads to what is committed now, or later.
func NewCatchUp(out runtime.Output) *CatchUp { return &CatchUp{out: out, At: out.Committed()} }

// Wait ends the reading.
func (f *CatchUp) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrCaughtUp
}

// Committed looks at the commit again.
func (f *CatchUp) Committed() driver.Position {
	f.At = f.out.Committed()
	return f.At.Log
}
