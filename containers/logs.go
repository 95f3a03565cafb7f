package containers

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/logs/driver"
)

// logs reads what a container has written, and with Follow what it writes until it ends.
func (c *Containers) logs(ctx context.Context, job *engine.StreamJob[jobs.LogsOpen], in jobs.LogsIn) (out jobs.LogsOut, err error) {
	if !in.Stdout && !in.Stderr {
		return out, errs.Invalid("Bad parameters: you must choose at least one stream")
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	defer c.hold(ct)()
	s := ct.Snapshot()
	open, err := c.logOpener(s)
	if err != nil {
		return out, err
	}
	o := driver.ReadOptions{Since: in.Since, Until: in.Until, Tail: in.Tail}
	if proc := ct.Proc(); in.Follow && proc != nil {
		f, err := c.follow(ctx, ct, proc)
		if err == nil {
			defer f.close()
			o.Follow = f
		} else if !errors.Is(err, ErrAbsent) { // else it has just ended
			return out, err
		}
	}
	r, err := open(s.LogPath, o)
	if err != nil {
		return out, err
	}
	defer r.Close()
	if err := job.Open(jobs.LogsOpen{Tty: s.Config.Tty}); err != nil {
		return out, nil
	}
	p := streams.Printer{Stdout: job.Stdout, Stderr: job.Stderr, Timestamps: in.Timestamps, Details: in.Details}
	if !in.Stdout {
		p.Stdout = nil
	}
	if !in.Stderr {
		p.Stderr = nil
	}
	return out, p.Copy(ctx, r)
}

func (c *Containers) logOpener(s *Snapshot) (driver.Open, error) {
	open, ok := c.cfg.Logs[s.HostConfig.LogConfig.Type]
	if !ok || s.LogPath == "" {
		return nil, errs.NotImplemented("configured logging driver does not support reading")
	}
	return open, nil
}

// runFollower is a driver.Follower of one run of a container.
type runFollower struct {
	out  Output
	over context.Context // ends with the run
	stop context.CancelFunc
}

func (c *Containers) follow(ctx context.Context, ct *Container, proc *Proc) (*runFollower, error) {
	// Not cut off by a client that goes: what was half opened could not be closed.
	out, err := c.runtime.Output(context.WithoutCancel(ctx), ct.id)
	if err != nil {
		return nil, err
	}
	over, stop := ct.until(ctx, proc)
	return &runFollower{out: out, over: over, stop: stop}, nil
}

// until gives a context that ends when a run of the container is over.
func (ct *Container) until(ctx context.Context, proc *Proc) (context.Context, context.CancelFunc) {
	over, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		_, _ = ct.await(over, func(*Snapshot) bool { return ct.Proc() != proc })
	}()
	return over, stop
}

// Wait ends when the log holds all that was written. Where it never will, as on
// a full disk, it ends with the run.
func (f *runFollower) Wait(ctx context.Context) error {
	if f.over.Err() != nil || complete(f.out) {
		return cmp.Or(ctx.Err(), io.EOF)
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.over, cancel)()
	err := f.out.Wait(either)
	if err != nil && ctx.Err() == nil && f.over.Err() != nil {
		return io.EOF
	}
	return err
}

func (f *runFollower) Committed() driver.Position { return f.out.Committed().Log }

func (f *runFollower) close() {
	f.stop()
	f.out.Close()
}

// complete tells whether the run will write no more and the log has all of it.
func complete(out Output) bool {
	var b [1]byte
	for _, s := range []Stream{Stdout, Stderr} {
		if _, err := out.ReadAt(s, b[:], out.Written(s)); !errors.Is(err, io.EOF) {
			return false
		}
	}
	in := out.Committed().Offset
	return in[Stdout] >= out.Written(Stdout) && in[Stderr] >= out.Written(Stderr)
}
