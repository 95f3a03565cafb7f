package containers

import (
	"context"
	"strings"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// rename gives a container another name. The new one is durable before the old
// one is free.
func (c *Containers) rename(ctx context.Context, _ *engine.Job, in jobs.ContainerRenameIn) (jobs.ContainerRenameOut, error) {
	none := jobs.ContainerRenameOut{}
	if in.Container == "" || in.Name == "" {
		return none, errs.Invalid("Neither old nor new names may be empty")
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
	if s.State.Removing || s.State.Dead || s.State.Removed {
		return none, errs.Conflict("Container %s is being removed", ct.id)
	}
	old := s.Name
	if in.Name == old || in.Name == "/"+old {
		return none, errs.Invalid("Renaming a container with the same name as its current name")
	}
	name, err := request.CheckName(in.Name)
	if err != nil {
		return none, errs.Invalid("Error when allocating new name: Invalid container name (/%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", strings.TrimPrefix(in.Name, "/"))
	}
	giveBack, err := c.index.rename(ct, name)
	if err != nil {
		return none, errs.Conflict("Error when allocating new name: %v", err)
	}
	s = ct.update(func(s *Snapshot) { s.Name = name })
	if err := c.save(ct); err != nil {
		ct.update(func(s *Snapshot) { s.Name = old })
		giveBack()
		return none, err
	}
	c.index.dropName(ct, old)
	// From here on the container has its name, whatever else happens.
	if err := c.networks.Rename(ctx, ct.id, name); err != nil {
		c.log.Errorf("container %s: its name on its networks: %v", ct.id, err)
	}
	c.tellLinked(ct.id)
	c.event(s, events.ActionRename, "oldName", "/"+old)
	return none, nil
}
