package containers

import (
	"context"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

type host struct{}

func newHost() *host { return &host{} }

func (c *Containers) load() error { return nil }

func (c *Containers) create(context.Context, *engine.Job, jobs.CreateIn) (out jobs.CreateOut, err error) {
	return out, errPending
}
func (c *Containers) start(context.Context, *engine.Job, jobs.StartIn) (out jobs.StartOut, err error) {
	return out, errPending
}
func (c *Containers) stop(context.Context, *engine.Job, jobs.StopIn) (out jobs.StopOut, err error) {
	return out, errPending
}
func (c *Containers) restart(context.Context, *engine.Job, jobs.RestartIn) (out jobs.RestartOut, err error) {
	return out, errPending
}
func (c *Containers) kill(context.Context, *engine.Job, jobs.KillIn) (out jobs.KillOut, err error) {
	return out, errPending
}
func (c *Containers) pause(context.Context, *engine.Job, jobs.PauseIn) (out jobs.PauseOut, err error) {
	return out, errPending
}
func (c *Containers) unpause(context.Context, *engine.Job, jobs.UnpauseIn) (out jobs.UnpauseOut, err error) {
	return out, errPending
}
func (c *Containers) wait(context.Context, *engine.StreamJob[jobs.WaitOpen], jobs.WaitIn) (out jobs.WaitOut, err error) {
	return out, errPending
}
func (c *Containers) rm(context.Context, *engine.Job, jobs.RmIn) (out jobs.RmOut, err error) {
	return out, errPending
}
func (c *Containers) rename(context.Context, *engine.Job, jobs.ContainerRenameIn) (out jobs.ContainerRenameOut, err error) {
	return out, errPending
}
