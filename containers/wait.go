package containers

import (
	"context"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// wait answers when a container has ended, ends the next time, or is gone.
func (c *Containers) wait(ctx context.Context, job *engine.StreamJob[jobs.WaitOpen], in jobs.WaitIn) (jobs.WaitOut, error) {
	none := jobs.WaitOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	before := ct.Snapshot()
	// Once it is gone nothing further will happen to it.
	var done func(*Snapshot) bool
	switch in.Condition {
	case "", container.WaitConditionNotRunning:
		done = func(s *Snapshot) bool { return !s.State.Running || s.State.Removed }
	case container.WaitConditionNextExit:
		done = func(s *Snapshot) bool { return s.State.Exits > before.State.Exits || s.State.Removed }
	case container.WaitConditionRemoved:
		done = func(s *Snapshot) bool {
			return s.State.Removed || s.State.RemoveFailures > before.State.RemoveFailures
		}
	default:
		return none, errs.Invalid("invalid condition: %q", in.Condition)
	}
	if err := job.Open(jobs.WaitOpen{}); err != nil {
		return none, err
	}
	s, err := ct.await(ctx, done)
	if err != nil {
		return none, err
	}
	out := jobs.WaitOut{WaitResponse: container.WaitResponse{StatusCode: int64(s.State.ExitCode)}}
	switch {
	case in.Condition == container.WaitConditionRemoved && !s.State.Removed:
		out.Error = &container.WaitExitError{Message: s.State.RemoveError}
	case s.State.Removed:
		// What went wrong was told to whoever started it.
	case s.State.Error != "":
		out.Error = &container.WaitExitError{Message: s.State.Error}
	}
	return out, nil
}
