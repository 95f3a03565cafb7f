package jobs

import (
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs of containers. A container is named by its full id, its name, or a
// unique prefix of its id.
var (
	Create           = engine.Define[CreateIn, CreateOut]("create")
	Start            = engine.Define[StartIn, StartOut]("start")
	Stop             = engine.Define[StopIn, StopOut]("stop")
	Restart          = engine.Define[RestartIn, RestartOut]("restart")
	Kill             = engine.Define[KillIn, KillOut]("kill")
	Pause            = engine.Define[PauseIn, PauseOut]("pause")
	Unpause          = engine.Define[UnpauseIn, UnpauseOut]("unpause")
	Wait             = engine.DefineStream[WaitIn, WaitOpen, WaitOut]("wait", engine.Endless)
	Rm               = engine.Define[RmIn, RmOut]("rm")
	Containers       = engine.Define[ContainersIn, ContainersOut]("containers", engine.Quiet)
	ContainerInspect = engine.Define[ContainerInspectIn, ContainerInspectOut]("container_inspect", engine.Quiet)
	ContainerRename  = engine.Define[ContainerRenameIn, ContainerRenameOut]("container_rename")
	Attach           = engine.DefineStream[AttachIn, AttachOpen, AttachOut]("attach", engine.Endless)
	Resize           = engine.Define[ResizeIn, ResizeOut]("resize")
	Top              = engine.Define[TopIn, TopOut]("top", engine.Quiet)
)

// CreateIn describes a new container. A nil Config is an error of the class
// invalid, a nil HostConfig is the default. Name "" has one made up. Platform
// is "os/arch[/variant]" or "".
type CreateIn struct {
	Name             string `job:"arg"`
	Config           *container.Config
	HostConfig       *container.HostConfig
	NetworkingConfig *network.NetworkingConfig
	Platform         string
}

// CreateOut has the id, and warnings that are never nil.
type CreateOut struct{ container.CreateResponse }

// StartIn names a created or stopped container. Starting a running one is
// errdefs.ErrNotModified.
type StartIn struct {
	Container string `job:"arg"`
}

// StartOut is empty.
type StartOut struct{}

// StopIn names a container. Signal "" is its own stop signal; Timeout counts
// seconds, nil is its own stop timeout, a negative one waits for ever.
// Stopping a stopped one is errdefs.ErrNotModified.
type StopIn struct {
	Container string `job:"arg"`
	Signal    string
	Timeout   *int
}

// StopOut is empty.
type StopOut struct{}

// RestartIn is as StopIn, but a stopped container is no error.
type RestartIn struct {
	Container string `job:"arg"`
	Signal    string
	Timeout   *int
}

// RestartOut is empty.
type RestartOut struct{}

// KillIn names a running container and a signal by name or number, "" for
// SIGKILL. A stopped one is errdefs.ErrConflict.
type KillIn struct {
	Container string `job:"arg"`
	Signal    string `job:"arg"`
}

// KillOut is empty.
type KillOut struct{}

// PauseIn names a running container.
type PauseIn struct {
	Container string `job:"arg"`
}

// PauseOut is empty.
type PauseOut struct{}

// UnpauseIn names a paused container.
type UnpauseIn struct {
	Container string `job:"arg"`
}

// UnpauseOut is empty.
type UnpauseOut struct{}

// WaitIn names a container and what to wait for: not-running (also ""),
// next-exit or removed.
type WaitIn struct {
	Container string                  `job:"arg"`
	Condition container.WaitCondition `job:"arg"`
}

// WaitOpen says that the container is known and waited for.
type WaitOpen struct{}

// WaitOut has the exit code.
type WaitOut struct{ container.WaitResponse }

// RmIn names a container to remove. A running one needs Force. RemoveVolumes asks
// to remove its anonymous volumes too; until there are volumes that outlive a
// container, they go either way. RemoveLink removes the link OWNER/ALIAS
// instead.
type RmIn struct {
	Container     string `job:"arg"`
	Force         bool
	RemoveVolumes bool
	RemoveLink    bool
}

// RmOut is empty.
type RmOut struct{}

// ContainersIn selects containers: running ones, or all. Limit above 0 gives
// that many of the newest, whatever their state.
type ContainersIn struct {
	All     bool
	Size    bool
	Limit   int
	Filters filters.Args
}

// ContainersOut is newest first and never nil.
type ContainersOut struct{ Containers []container.Summary }

// ContainerInspectIn names a container; Size asks for the sizes of its files too.
type ContainerInspectIn struct {
	Container string `job:"arg"`
	Size      bool
}

// ContainerInspectOut is all there is to know of a container.
type ContainerInspectOut struct {
	container.InspectResponse
	MacAddress network.HardwareAddr // that the user wants on the network of the mode; empty: any
}

// ContainerRenameIn gives a container a new name.
type ContainerRenameIn struct {
	Container string `job:"arg"`
	Name      string `job:"arg"`
}

// ContainerRenameOut is empty.
type ContainerRenameOut struct{}

// AttachIn connects to the streams of a container. Logs replays what was
// written before, Stream follows what comes. DetachKeys "" is ctrl-p,ctrl-q.
type AttachIn struct {
	Container  string `job:"arg"`
	Logs       bool
	Stream     bool
	Stdin      bool
	Stdout     bool
	Stderr     bool
	DetachKeys string
}

// AttachOpen says that the container is known. With Tty all output is on the
// job's Stdout, unframed.
type AttachOpen struct{ Tty bool }

// AttachOut is empty.
type AttachOut struct{}

// ResizeIn sets the size of a container's terminal in characters.
type ResizeIn struct {
	Container string `job:"arg"`
	Height    uint16 `job:"arg"`
	Width     uint16 `job:"arg"`
}

// ResizeOut is empty.
type ResizeOut struct{}

// TopIn lists the processes of a running container with ps(1)'s arguments, "" for -ef.
type TopIn struct {
	Container string `job:"arg"`
	PsArgs    string `job:"arg"`
}

// TopOut has the columns that ps printed.
type TopOut struct{ container.TopResponse }

// Logs reads what a container has written. It is endless because it may follow.
var Logs = engine.DefineStream[LogsIn, LogsOpen, LogsOut]("logs", engine.Endless)

// LogsIn selects log lines. Tail below 0 is all. Zero times do not limit.
type LogsIn struct {
	Container  string `job:"arg"`
	Stdout     bool
	Stderr     bool
	Follow     bool
	Timestamps bool
	Details    bool
	Since      time.Time
	Until      time.Time
	Tail       int
}

// LogsOpen says that the log can be read. With Tty all lines are on the job's Stdout, unframed.
type LogsOpen struct{ Tty bool }

// LogsOut is empty.
type LogsOut struct{}
