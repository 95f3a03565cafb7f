package containers

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// change changes what a container may use, and its restart policy. A running
// one feels it before the answer, and the answer is durable.
func (c *Containers) change(ctx context.Context, _ *engine.Job, in jobs.ContainerUpdateIn) (jobs.ContainerUpdateOut, error) {
	none := jobs.ContainerUpdateOut{}
	limits := container.Resources{}
	if in.Resources != nil {
		limits = *in.Resources
	}
	warnings, err := c.rules.CheckUpdate(&limits, in.RestartPolicy)
	if err != nil {
		return none, err
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	unlock, err := ct.lock(ctx)
	if err != nil {
		return none, err
	}
	defer unlock()
	s := ct.Snapshot()
	cannot := func(err error) (jobs.ContainerUpdateOut, error) {
		return none, fmt.Errorf("Cannot update container %s: %w", ct.id, err)
	}
	switch {
	case s.State.Removed:
		return none, errs.NotFound("No such container: %s", ct.id)
	case s.State.Removing || s.State.Dead:
		return cannot(errs.Conflict("container is marked for removal and cannot be \"update\""))
	}
	next := *s
	if next.HostConfig, err = request.Merge(s.HostConfig, &limits, in.RestartPolicy); err != nil {
		return cannot(err)
	}
	if err := next.Store(); err != nil {
		return cannot(err)
	}
	if err := c.applyLimits(ctx, s, next.HostConfig); err != nil {
		return cannot(err)
	}
	ct.update(func(s *Snapshot) { s.HostConfig, s.Stored = next.HostConfig, next.Stored })
	if err := c.save(ct); err != nil {
		ct.update(func(now *Snapshot) { now.HostConfig, now.Stored = s.HostConfig, s.Stored })
		if e := c.applyLimits(ctx, s, s.HostConfig); e != nil {
			c.log.Errorf("container %s: its new limits cannot be recorded, nor its old ones be restored: %v", ct.id, e)
		}
		return cannot(err)
	}
	c.event(ct.Snapshot(), events.ActionUpdate)
	return jobs.ContainerUpdateOut{UpdateResponse: container.UpdateResponse{Warnings: warnings}}, nil
}

// applyLimits has a running container feel its limits. One that does not run
// gets them at its next start.
func (c *Containers) applyLimits(ctx context.Context, s *Snapshot, hc *container.HostConfig) error {
	limits, err := spec.Changes(&hc.Resources, c.pidsBound(hc))
	if err != nil {
		return err
	}
	if !s.State.Running || s.State.Restarting {
		return nil
	}
	switch err := c.runtime.Update(ctx, s.ID, limits); {
	case errors.Is(err, ErrNotRunning): // it has ended at this moment
		return nil
	case errors.Is(err, ErrUnsupported):
		return errs.NotImplemented("%w", err)
	default:
		return err
	}
}

// pidsBound is how many processes a container without a limit may have that is
// not below the cgroup which bounds all of them; 0 is any number.
func (c *Containers) pidsBound(hc *container.HostConfig) int64 {
	if hc.CgroupParent == "" && c.cfg.CgroupDriver != cgroupnames.Systemd {
		return 0
	}
	return c.cfg.PidsBound
}
