package execs

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/moby/moby/api/types/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/detachkeys"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// Start starts an exec's process and connects the client to it. A client
// that goes away leaves the process running.
func (x *Execs) Start(ctx context.Context, job *engine.StreamJob[jobs.ExecStartOpen], in jobs.ExecStartIn) (out jobs.ExecStartOut, err error) {
	e, err := x.find(in.Exec)
	if err != nil {
		return out, err
	}
	s := e.ct.Now()
	if !in.Detach {
		if link := e.reconnect(); link != nil {
			return out, link.again(ctx, job)
		}
	}
	if err := e.begin(); err != nil {
		return out, err
	}
	if err := canExec(s, e.ct.ID(), s.Name); err != nil {
		e.unbegin()
		return out, err
	}
	var streams engine.Streams
	if !in.Detach {
		if err := job.Open(jobs.ExecStartOpen{Tty: in.Tty}); err != nil {
			e.unbegin()
			return out, nil
		}
		streams = job.Streams
	}
	e.ct.Event(e.action(events.ActionExecStart), "execID", e.id)
	// From here on the process is nobody's but the container's.
	x.save(e)
	link, err := x.execNow(context.WithoutCancel(ctx), e, s, in)
	if err != nil {
		e.fail()
		x.save(e)
		x.sweepLater(x.Life)
		return out, err
	}
	if in.Detach {
		link.discard()
		return out, nil
	}
	link.connect(ctx, streams)
	return out, nil
}

// execFailed is the exit code of an exec whose process could not be started,
// whatever the reason, as with docker.
const execFailed = 126

// fail ends an exec that has no process.
func (e *execution) fail() {
	e.end(execFailed)
	close(e.started)
}

// unbegin takes begin back: nothing was tried.
func (e *execution) unbegin() {
	e.mu.Lock()
	e.begun = false
	e.mu.Unlock()
}

// execNow starts the process.
func (x *Execs) execNow(ctx context.Context, e *execution, s State, in jobs.ExecStartIn) (*execLink, error) {
	rootfs := e.ct.Now().Rootfs
	if rootfs == "" {
		return nil, errs.Conflict("Container %s is not running", e.ct.ID())
	}
	if dir := e.request.WorkingDir; dir != "" && !path.IsAbs(dir) {
		return nil, errs.Invalid("OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown")
	}
	process, err := x.process(e, s, rootfs, in)
	if err != nil {
		return nil, errs.Invalid("%w", err)
	}
	link := &execLink{x: x, e: e, keys: e.keys}
	if link.keys == nil {
		link.keys = detachkeys.Default()
	}
	theirs, err := link.pipes(in.Detach)
	if err != nil {
		return nil, err
	}
	p, err := x.Runtime.Exec(ctx, e.ct.ID(), e.id, process, theirs[0], theirs[1], theirs[2])
	for _, f := range theirs {
		if f != nil {
			f.Close()
		}
	}
	if err != nil {
		link.close()
		return nil, execError(e.ct.ID(), err)
	}
	if p.PidFD != nil {
		p.PidFD.Close()
	}
	link.tty = p.TTY
	x.Runtime.KeepExec(e.ct.ID(), e.id, runtime.ExecStreams{TTY: link.tty, Stdout: link.output[0], Stderr: link.output[1]})
	e.run(p)
	return link, nil
}

func (x *Execs) process(e *execution, s State, rootfs string, in jobs.ExecStartIn) (*specs.Process, error) {
	q := e.request
	size := q.ConsoleSize
	if in.ConsoleSize != nil {
		size = in.ConsoleSize
	}
	input := spec.ExecInput{
		Rootfs: rootfs, Config: s.Config, HostConfig: s.HostConfig, Hostname: s.Config.Hostname, Host: x.Host, Defaults: x.Defaults,
		Args: q.Cmd, Env: q.Env, User: q.User, WorkingDir: q.WorkingDir, Tty: q.Tty, Privileged: q.Privileged,
	}
	if size != nil {
		input.Height, input.Width = size[0], size[1]
	}
	return spec.Exec(input)
}

// execError puts the runtime's error in the words that clients look for.
func execError(id string, err error) error {
	switch {
	case errors.Is(err, runtime.ErrNotRunning), errors.Is(err, runtime.ErrAbsent):
		return errs.Conflict("Container %s is not running", id)
	case errors.Is(err, runtime.ErrNoProgram), errors.Is(err, runtime.ErrNotExecutable):
		return errs.Invalid("OCI runtime exec failed: exec failed: %w: unknown", err)
	}
	return fmt.Errorf("OCI runtime exec failed: exec failed: %w: unknown", err)
}
