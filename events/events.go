package events

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// events writes what happens as JSON, one object a line, until ctx ends or the
// time in.Until has come. With Since or Until the kept events come first.
func (e *Events) events(ctx context.Context, job *engine.StreamJob[jobs.EventsOpen], in jobs.EventsIn) (jobs.EventsOut, error) {
	out := jobs.EventsOut{}
	if err := in.Filters.Check(accepted...); err != nil {
		return out, err
	}
	if !in.Since.IsZero() && !in.Until.IsZero() && in.Since.After(in.Until) {
		return out, errs.Invalid("`since` time (%s) cannot be after `until` time (%s)", stamp(in.Since), stamp(in.Until))
	}
	var past func(*events.Message) bool
	if !in.Since.IsZero() || !in.Until.IsZero() {
		past = func(m *events.Message) bool {
			return (in.Since.IsZero() || m.TimeNano >= in.Since.UnixNano()) &&
				(in.Until.IsZero() || m.TimeNano <= in.Until.UnixNano())
		}
	}
	s := e.subscribe(matcher(in.Filters), past)
	defer s.cancel()
	if err := job.Open(jobs.EventsOpen{}); err != nil {
		return out, err
	}

	var end <-chan time.Time
	if !in.Until.IsZero() {
		timer := time.NewTimer(in.Until.Sub(e.now()))
		defer timer.Stop()
		end = timer.C
	}
	enc := json.NewEncoder(job.Stdout)
	enc.SetEscapeHTML(false)
	for ended := false; ; {
		queue, err := s.take()
		if err != nil {
			return out, err
		}
		for i := range queue {
			if !in.Until.IsZero() && queue[i].TimeNano > in.Until.UnixNano() {
				return out, nil
			}
			if err := enc.Encode(&queue[i]); err != nil {
				return out, nil // nobody is there to be told
			}
		}
		if ended {
			return out, nil
		}
		select {
		case <-s.wake:
		case <-end:
			ended = true // one more look: an event may have come together with the end
		case <-ctx.Done():
			return out, nil
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
