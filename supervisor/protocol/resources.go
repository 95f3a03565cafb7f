package protocol

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
)

// Operations around what containers use.
const (
	OpUpdate = "update" // Update
	OpStats  = "stats"  // Target → Stats
	OpOOM    = "oom"    // pushed: OOM
)

// Update changes the limits of a container that runs. What Limits leaves out stays.
type Update struct {
	ID     string
	Limits *specs.LinuxResources
}

// Stats is what a container uses at one moment.
type Stats = execdriver.Stats

// OOM tells that processes of a container were killed because its memory ran
// out: Kills of them since it was made. It is told when the number has grown,
// and to each daemon that connects.
type OOM struct {
	Container string
	Pid       int // of the container's first process
	StartTime uint64
	Kills     uint64
}
