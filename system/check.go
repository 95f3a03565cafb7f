package system

import (
	"context"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// check asks the nouns what is not as it should be.
func (s *System) check(ctx context.Context, _ *engine.Job, in jobs.SystemCheckIn) (jobs.SystemCheckOut, error) {
	out := jobs.SystemCheckOut{Findings: []jobs.Finding{}}
	for _, c := range s.Checkers {
		look := c.Check
		if full, ok := c.(FullChecker); ok && in.Full {
			look = full.CheckFull
		}
		found, err := look(ctx, in.Repair)
		if err != nil {
			return out, err
		}
		out.Findings = append(out.Findings, found...)
	}
	return out, nil
}
