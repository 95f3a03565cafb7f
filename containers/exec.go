package containers

import (
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/execs"
)

// newExecs is the execs of these containers.
func (c *Containers) newExecs() *execs.Execs {
	return &execs.Execs{
		Containers: execTargets{c}, Runtime: c.runtime, Host: c.host.spec(), Defaults: c.cfg.Defaults,
		NewID: newID, ExecRoot: c.cfg.ExecRoot, Log: c.log, Life: c.life,
	}
}

// execTargets are containers as package execs wants them.
type execTargets struct{ c *Containers }

func (t execTargets) Find(ref string) (execs.Container, error) {
	ct, err := t.c.find(ref)
	if err != nil {
		return nil, err
	}
	return execTarget{t.c, ct}, nil
}

type execTarget struct {
	c  *Containers
	ct *Container
}

func (t execTarget) ID() string { return t.ct.id }

func (t execTarget) Now() execs.State {
	s := t.ct.Snapshot()
	now := execs.State{
		Name: s.Name, Config: t.c.withLinks(s, s.Config), HostConfig: s.HostConfig,
		Running: s.State.Running, Paused: s.State.Paused, Restarting: s.State.Restarting, Removed: s.State.Removed,
	}
	if proc := t.ct.Proc(); proc != nil {
		now.Rootfs = proc.Rootfs
	}
	return now
}

func (t execTarget) Event(action events.Action, pairs ...string) {
	t.c.event(t.ct.Snapshot(), action, pairs...)
}
