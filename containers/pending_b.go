package containers

// Stand-ins for verbs whose files are still to come: whoever writes the file deletes the stand-in.

import (
	"context"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

var errPending = errs.NotImplemented("not there yet")

// execs holds all execs; the zero value is ready.
type execs struct{}

func (*execs) of(string) []string { return nil }

// execExited records the end of an exec. It may be told twice, and of execs that nobody knows.
func (c *Containers) execExited(e Exit) {}

// forgetExecs drops the execs of a container that is removed.
func (c *Containers) forgetExecs(ct *Container) {}

func (c *Containers) top(context.Context, *engine.Job, jobs.TopIn) (out jobs.TopOut, err error) {
	return out, errPending
}
func (c *Containers) logs(context.Context, *engine.StreamJob[jobs.LogsOpen], jobs.LogsIn) (out jobs.LogsOut, err error) {
	return out, errPending
}
func (c *Containers) attach(context.Context, *engine.StreamJob[jobs.AttachOpen], jobs.AttachIn) (out jobs.AttachOut, err error) {
	return out, errPending
}
func (c *Containers) resize(context.Context, *engine.Job, jobs.ResizeIn) (out jobs.ResizeOut, err error) {
	return out, errPending
}
func (c *Containers) execCreate(context.Context, *engine.Job, jobs.ExecCreateIn) (out jobs.ExecCreateOut, err error) {
	return out, errPending
}
func (c *Containers) execStart(context.Context, *engine.StreamJob[jobs.ExecStartOpen], jobs.ExecStartIn) (out jobs.ExecStartOut, err error) {
	return out, errPending
}
func (c *Containers) execResize(context.Context, *engine.Job, jobs.ExecResizeIn) (out jobs.ExecResizeOut, err error) {
	return out, errPending
}
func (c *Containers) execInspect(context.Context, *engine.Job, jobs.ExecInspectIn) (out jobs.ExecInspectOut, err error) {
	return out, errPending
}
