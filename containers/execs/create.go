package execs

import (
	"context"
	"strings"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/detachkeys"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// Create notes a process that is to be started in a running container.
func (x *Execs) Create(_ context.Context, _ *engine.Job, in jobs.ExecCreateIn) (out jobs.ExecCreateOut, err error) {
	ct, err := x.Containers.Find(in.Container)
	if err != nil {
		return out, err
	}
	s := ct.Now()
	if len(in.Cmd) == 0 {
		return out, errs.Invalid("No exec command specified")
	}
	if err := canExec(s, ct.ID(), in.Container); err != nil {
		return out, err
	}
	e := &execution{
		id: x.NewID(), ct: ct, request: in.ExecCreateRequest,
		started: make(chan struct{}), ended: make(chan struct{}),
	}
	if in.DetachKeys != "" {
		if e.keys, err = detachkeys.Parse(in.DetachKeys); err != nil {
			return out, errs.Invalid("Invalid escape keys (%s) provided", in.DetachKeys)
		}
	}
	x.add(e)
	x.save(e)
	if ct.Now().Removed { // while we looked: nobody else drops it
		x.Forget(ct.ID())
	}
	ct.Event(e.action(events.ActionExecCreate), "execID", e.id)
	out.ID = e.id
	return out, nil
}

// action is an event's name with the command, as in "exec_start: sh -c ls".
func (e *execution) action(name events.Action) events.Action {
	// As docker's: a program without arguments has the space all the same.
	return name + ": " + events.Action(e.request.Cmd[0]+" "+strings.Join(e.request.Cmd[1:], " "))
}
