package execs

import (
	"context"

	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// Resize sets the size of an exec's terminal. Clients ask for it as soon as
// their start is accepted, so it waits for the process. Without a terminal there
// is nothing to do.
func (x *Execs) Resize(ctx context.Context, _ *engine.Job, in jobs.ExecResizeIn) (out jobs.ExecResizeOut, err error) {
	e, err := x.find(in.Exec)
	if err != nil {
		return out, err
	}
	e.mu.Lock()
	begun := e.begun
	e.mu.Unlock()
	if begun {
		select {
		case <-e.started:
		case <-e.ended:
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pid == 0 || e.exitCode != nil {
		return out, errs.Conflict("Exec command %s is not running", e.id)
	}
	if e.tty == nil {
		return out, nil
	}
	return out, streams.SetWinsize(e.tty, in.Height, in.Width)
}
