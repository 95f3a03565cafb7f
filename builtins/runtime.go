package builtins

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/containers"
	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/logs/driver"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// runtime is the supervisor as containers want it: the same calls in their own types.
type runtime struct{ sup *client.Client }

var _ containers.Runtime = runtime{}

func newRuntime(sup *client.Client) runtime { return runtime{sup} }

// translated gives an error of the exec driver the class that containers know.
func translated(err error) error {
	for _, same := range [...]struct{ from, to error }{
		{execdriver.ErrNoProgram, containers.ErrNoProgram},
		{execdriver.ErrNotExecutable, containers.ErrNotExecutable},
		{execdriver.ErrNotRunning, containers.ErrNotRunning},
		{execdriver.ErrNotFound, containers.ErrAbsent},
		{execdriver.ErrUnsupported, containers.ErrUnsupported},
		{spool.ErrLagged, containers.ErrLagged},
	} {
		if errors.Is(err, same.from) {
			return errs.As(same.to, err)
		}
	}
	return err
}

func (r runtime) Expect() { r.sup.Expect() }

func (r runtime) Create(ctx context.Context, run containers.RunSpec) (containers.Process, error) {
	p, err := r.sup.Create(ctx, protocol.Create{
		ID: run.ID, Driver: run.Driver, BundleDir: run.BundleDir, Run: uint64(run.Run), Tty: run.Tty, OpenStdin: run.OpenStdin,
		Log: protocol.Log(run.Log), ExitFile: run.ExitFile, Durable: run.Durable,
	})
	return containers.Process(p), translated(err)
}

func (r runtime) Start(ctx context.Context, id string) error { return translated(r.sup.Start(ctx, id)) }

func (r runtime) Signal(ctx context.Context, id string, sig syscall.Signal) error {
	return translated(r.sup.Signal(ctx, id, sig))
}

func (r runtime) Pause(ctx context.Context, id string) error { return translated(r.sup.Pause(ctx, id)) }

func (r runtime) Resume(ctx context.Context, id string) error {
	return translated(r.sup.Resume(ctx, id))
}

func (r runtime) Pids(ctx context.Context, id string) ([]int, error) {
	pids, err := r.sup.Pids(ctx, id)
	return pids, translated(err)
}

func (r runtime) Delete(ctx context.Context, id string) error {
	return translated(r.sup.Delete(ctx, id))
}

func (r runtime) List(ctx context.Context) ([]containers.RuntimeState, error) {
	list, err := r.sup.List(ctx)
	states := make([]containers.RuntimeState, len(list))
	for i, c := range list {
		states[i] = containers.RuntimeState{
			ID: c.ID, Status: c.State, Pid: c.Pid, StartTime: c.StartTime, Tty: c.Tty, Run: int(c.Run), Execs: c.Execs, ExecsEnded: c.Ended,
		}
		if c.Exit != nil {
			e := containers.Exit(*c.Exit)
			states[i].Exit = &e
		}
	}
	return states, translated(err)
}

func (r runtime) Exits() iter.Seq[containers.Exit] {
	return func(yield func(containers.Exit) bool) {
		for e := range r.sup.Exits() {
			if !yield(containers.Exit(e)) {
				return
			}
		}
	}
}

func (r runtime) Ack(e containers.Exit) { r.sup.Ack(protocol.Exit(e)) }

func (r runtime) Output(ctx context.Context, id string) (containers.Output, error) {
	out, err := r.sup.Output(ctx, id)
	if err != nil {
		return nil, translated(err)
	}
	return output{out}, nil
}

func (r runtime) OpenStdin(id string) (io.WriteCloser, error) {
	in, err := r.sup.OpenStdin(id)
	if err != nil {
		return nil, translated(err)
	}
	return in, nil
}

func (r runtime) CloseStdin(ctx context.Context, id string) error {
	return translated(r.sup.CloseStdin(ctx, id))
}

func (r runtime) TTY(ctx context.Context, id string) (*os.File, error) {
	f, err := r.sup.TTY(ctx, id)
	return f, translated(err)
}

func (r runtime) Exec(ctx context.Context, id, execID string, p *specs.Process, stdin, stdout, stderr *os.File) (containers.Process, error) {
	started, err := r.sup.Exec(ctx, protocol.Exec{Container: id, ExecID: execID, Process: p}, client.Stdio{Stdin: stdin, Stdout: stdout, Stderr: stderr})
	return containers.Process(started), translated(err)
}

func (r runtime) ExecSignal(ctx context.Context, id, execID string, sig syscall.Signal) error {
	return translated(r.sup.ExecSignal(ctx, id, execID, sig))
}

func (r runtime) KeepExec(id, execID string, s containers.ExecStreams) {
	r.sup.HoldExec(id, execID, client.ExecStreams(s))
}

func (r runtime) TakeExec(ctx context.Context, id, execID string) (containers.Process, containers.ExecStreams, error) {
	p, s, err := r.sup.TakeExec(ctx, id, execID)
	return containers.Process(p), containers.ExecStreams(s), translated(err)
}

// output is a container's output in the types of containers.
type output struct{ *client.Output }

func (o output) ReadAt(s containers.Stream, p []byte, off int64) (int, error) {
	n, err := o.Output.ReadAt(spool.Stream(s), p, off)
	return n, translated(err)
}

func (o output) Written(s containers.Stream) int64 { return o.Output.Written(spool.Stream(s)) }

func (o output) FirstKept(s containers.Stream) int64 { return o.Output.FirstKept(spool.Stream(s)) }

func (o output) Committed() containers.Commit {
	c := o.Output.Committed()
	return containers.Commit{Offset: c.Offset, Log: driver.Position{File: c.LogInode, Offset: c.LogSize}}
}
