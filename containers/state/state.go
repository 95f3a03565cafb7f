package state

import (
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// Snapshot is a container at one moment. Neither it nor what it points to is ever changed.
type Snapshot struct {
	ID      string
	Name    string // without the slash
	Created time.Time
	ImageID string // "sha256:…"
	Path    string // the program
	Args    []string

	Config     *container.Config     // merged with the image's
	HostConfig *container.HostConfig // with defaults filled in
	Mounts     []container.MountPoint
	Networks   map[string]*network.EndpointSettings // as configured, by name or id; changed only by copies

	Driver       string // graph driver
	LogPath      string // "" if nothing is logged to a file
	RestartCount int
	Runs         int  // how often it was started
	ManualStop   bool // a user stopped it

	State State

	Stored  *Stored // what the user configured, as it is written
	Damaged bool    // the record can't be read: the container can only be removed
}

// State is what changes while a container lives.
type State struct {
	Running    bool // also while paused or restarting
	Paused     bool
	Thaw       bool // it is paused for a commit, or a pause is being made or ended: a daemon that finds this ends it
	Restarting bool
	Removing   bool // a removal has begun and will be finished
	Removed    bool // the container is gone
	Dead       bool // removal failed, or the record is damaged
	OOMKilled  bool
	OOMKills   uint64 // processes of this run that were killed for it

	Pid        int
	StartTime  uint64 // of Pid
	ExitCode   int
	Error      string // why it could not be started or ended oddly
	StartedAt  time.Time
	FinishedAt time.Time
	Exits      int // how often it has ended in the life of this daemon

	RemoveFailures int
	RemoveError    string // why the last removal failed
}

// Status is the one word that stands for the state.
func (s State) Status() container.ContainerState {
	switch {
	case s.Running && s.Paused:
		return container.StatePaused
	case s.Running && s.Restarting, s.Restarting:
		return container.StateRestarting
	case s.Running:
		return container.StateRunning
	case s.Removing:
		return container.StateRemoving
	case s.Dead:
		return container.StateDead
	case s.StartedAt.IsZero():
		return container.StateCreated
	}
	return container.StateExited
}
