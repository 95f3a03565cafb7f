package execs

import (
	"context"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// Inspect tells the state of an exec.
func (x *Execs) Inspect(_ context.Context, _ *engine.Job, in jobs.ExecInspectIn) (out jobs.ExecInspectOut, err error) {
	e, err := x.find(in.Exec)
	if err != nil {
		return out, err
	}
	q := e.request
	r := container.ExecInspectResponse{
		ID: e.id, ContainerID: e.ct.ID(), DetachKeys: append([]byte{}, e.keys...),
		OpenStdin: q.AttachStdin, OpenStdout: q.AttachStdout, OpenStderr: q.AttachStderr,
		ProcessConfig: &container.ExecProcessConfig{
			Tty: q.Tty, Entrypoint: q.Cmd[0], Arguments: append([]string{}, q.Cmd[1:]...),
			Privileged: &q.Privileged, User: q.User,
		},
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.Pid, r.ExitCode = e.pid, e.exitCode
	r.Running = e.pid != 0 && e.exitCode == nil
	out.ExecInspectResponse = r
	return out, nil
}
