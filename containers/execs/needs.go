package execs

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// What this package needs to know of containers. Package containers gives it.

// Containers are all there are.
type Containers interface {
	// Find finds one by id, name or unique prefix of its id.
	Find(ref string) (Container, error)
}

// Container is one in which processes may be executed.
type Container interface {
	ID() string
	// Now is what it is at this moment.
	Now() State
	// Event tells what happens in it; pairs are key, value, ….
	Event(action events.Action, pairs ...string)
}

// State is a container at one moment. What it points to is not changed.
type State struct {
	Name       string
	Config     *container.Config
	HostConfig *container.HostConfig
	Rootfs     string // on the host; "" while no program runs

	Running    bool // also while paused or restarting
	Paused     bool
	Restarting bool
	Removed    bool
}
