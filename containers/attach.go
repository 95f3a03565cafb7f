package containers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/detachkeys"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/logs/driver"
)

// attach connects a client to the streams of a container: of its present run,
// or, if there is none, of the next one from its first byte on.
func (c *Containers) attach(ctx context.Context, job *engine.StreamJob[jobs.AttachOpen], in jobs.AttachIn) (out jobs.AttachOut, err error) {
	keys, err := detachkeys.Parse(in.DetachKeys)
	if err != nil {
		return out, errs.Invalid("Invalid detach keys (%s) provided", in.DetachKeys)
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	defer c.hold(ct)()
	s := ct.Snapshot()
	switch {
	case s.State.Restarting:
		return out, errs.Conflict("container %s is restarting, wait until the container is running", in.Container)
	case s.State.Paused:
		return out, errs.Conflict("container %s is paused, unpause the container before attach", in.Container)
	}
	a := &attachment{c: c, ct: ct, s: s, in: in, keys: keys}
	if in.Logs {
		if a.openLog, err = c.logOpener(s); err != nil {
			return out, err
		}
	}
	if in.Stream && (in.Stdin || in.Stdout || in.Stderr) {
		// Before the client is told: it may start the container at once.
		wait, err := a.seize(ctx)
		if err != nil {
			return out, err
		}
		defer wait.close()
		a.runs = wait
	}
	c.event(s, events.ActionAttach)
	if err := job.Open(jobs.AttachOpen{Tty: s.Config.Tty}); err != nil {
		return out, nil
	}
	a.streams = job.Streams
	return out, a.serve(ctx)
}

// attachment is one client's connection to a container.
type attachment struct {
	c       *Containers
	ct      *Container
	s       *Snapshot
	in      jobs.AttachIn
	keys    []byte
	openLog driver.Open // to replay it; nil does not
	runs    *nextRun    // nil: nothing is streamed
	streams engine.Streams
}

func (a *attachment) serve(ctx context.Context) error {
	if a.runs == nil {
		if a.openLog == nil {
			return nil
		}
		return a.replay(ctx, nil)
	}
	replayed := a.openLog == nil
	if !replayed {
		var err error
		if replayed, err = a.replayBefore(ctx); err != nil {
			return err
		}
	}
	stdin := a.streams.Stdin
	if !a.in.Stdin || !a.s.Config.OpenStdin {
		// Somebody has to read, or a client's end would not be noticed.
		go io.Copy(io.Discard, stdin)
		stdin = nil
	}
	live, err := a.runs.wait(ctx)
	if err != nil {
		return err
	}
	if !replayed {
		if err := a.replay(ctx, live); err != nil {
			return err
		}
	}
	if live == nil {
		return nil
	}
	return a.stream(ctx, live, stdin)
}

// replayBefore writes what the log has while there is no run. If one has begun
// before the log was opened, nothing is written: then replay must do it.
func (a *attachment) replayBefore(ctx context.Context) (done bool, err error) {
	if a.runs.ready() {
		return false, nil
	}
	r, err := a.openLog(a.s.LogPath, driver.ReadOptions{Tail: -1})
	if err != nil {
		return false, err
	}
	defer r.Close()
	if a.runs.ready() {
		return false, nil
	}
	return true, a.printer().Copy(ctx, r)
}

// replay writes what the log has. With a run that goes on, its streams continue
// where the log ends.
func (a *attachment) replay(ctx context.Context, live *liveRun) error {
	o := driver.ReadOptions{Tail: -1}
	var f *streams.CatchUp
	if live != nil {
		f = streams.NewCatchUp(live.out)
		o.Follow = f
	}
	r, err := a.openLog(a.s.LogPath, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := a.printer().Copy(ctx, r); err != nil && !errors.Is(err, streams.ErrCaughtUp) {
		return err
	}
	if live != nil {
		live.from, live.check = f.At.Offset, f.At
	}
	return nil
}

// lost tells of output that a slow client has missed: it is not to find out by
// comparing sums.
func (a *attachment) lost(bytes int64) {
	a.c.log.Warnf("container %s: an attached client was slow and has missed %d bytes of output, which its log does not have", a.ct.id, bytes)
	if a.in.Stderr && !a.s.Config.Tty {
		fmt.Fprintf(a.streams.Stderr, "engine: %d bytes of output are missing here: the client was slower than the container, and no log has them\n", bytes)
	}
}

// unlogged says that the container has no log that could be read.
func (a *attachment) unlogged() bool {
	return a.c.cfg.Logs[a.s.HostConfig.LogConfig.Type] == nil || a.s.LogPath == ""
}

func (a *attachment) printer() *streams.Printer {
	p := &streams.Printer{}
	if a.in.Stdout {
		p.Stdout = a.streams.Stdout
	}
	if a.in.Stderr {
		p.Stderr = a.streams.Stderr
	}
	return p
}

// stream connects the client until the run is over, or the client leaves.
func (a *attachment) stream(ctx context.Context, live *liveRun, stdin io.Reader) error {
	leave, left := context.WithCancel(ctx)
	defer left()
	if stdin != nil {
		in, err := a.openStdin(ctx)
		if err != nil {
			go io.Copy(io.Discard, stdin) // the run is over already
		} else {
			defer in.Close() // which ends a write that waits
			go a.copyStdin(ctx, in, stdin, left)
		}
	}
	o := &streams.Copy{Out: live.out, Offset: live.from, Check: live.check, Open: a.c.cfg.Logs[a.s.HostConfig.LogConfig.Type], Path: a.s.LogPath}
	if a.in.Stdout {
		o.To[Stdout] = a.streams.Stdout
	}
	if a.in.Stderr {
		o.To[Stderr] = a.streams.Stderr
	}
	o.Lost = a.lost
	over, stop := a.ct.until(ctx, live.proc)
	defer stop()
	err := o.Run(ctx, leave, over)
	if ctx.Err() != nil || errors.Is(err, streams.ErrClientGone) {
		return nil
	}
	return err
}
