package containers

import (
	"context"
	"strconv"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// resize sets the size of a container's terminal. Without a terminal there is
// nothing to do.
func (c *Containers) resize(_ context.Context, _ *engine.Job, in jobs.ResizeIn) (out jobs.ResizeOut, err error) {
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	s, proc := ct.Snapshot(), ct.Proc()
	if proc == nil || !s.State.Running {
		return out, errs.Conflict("Container %s is not running", s.ID)
	}
	if proc.TTY != nil {
		if err := streams.SetWinsize(proc.TTY, in.Height, in.Width); err != nil {
			return out, err
		}
	}
	c.event(s, events.ActionResize, "height", strconv.Itoa(int(in.Height)), "width", strconv.Itoa(int(in.Width)))
	return out, nil
}
