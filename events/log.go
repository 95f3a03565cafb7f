package events

import (
	"context"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// log publishes an event for callers outside; nouns call Log.
func (e *Events) log(_ context.Context, _ *engine.Job, in jobs.LogIn) (jobs.LogOut, error) {
	if in.Type == "" || in.Action == "" {
		return jobs.LogOut{}, errs.Invalid("log: Type and Action are needed")
	}
	e.Log(in.Type, in.Action, in.ActorID, in.Attributes)
	return jobs.LogOut{}, nil
}
