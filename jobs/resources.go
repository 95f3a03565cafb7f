package jobs

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
)

// The jobs around what a container may use and does use.
var (
	ContainerUpdate = engine.Define[ContainerUpdateIn, ContainerUpdateOut]("container_update")
	ContainerStats  = engine.DefineStream[ContainerStatsIn, ContainerStatsOpen, ContainerStatsOut]("container_stats", engine.Endless, engine.Quiet)
)

// ContainerUpdateIn changes limits of a container, at once if it runs. What is zero stays
// as it is; a nil RestartPolicy too. A nil Resources changes none.
type ContainerUpdateIn struct {
	Container     string `job:"arg"`
	Resources     *container.Resources
	RestartPolicy *container.RestartPolicy
}

// ContainerUpdateOut has warnings, nil if there are none.
type ContainerUpdateOut struct{ container.UpdateResponse }

// ContainerStatsIn names a container whose use of the host is to be told: once, or with
// Stream about every second until the caller goes. OneShot asks for a single
// reading without a former one to compare it with, which takes no time.
type ContainerStatsIn struct {
	Container string `job:"arg"`
	Stream    bool
	OneShot   bool
}

// ContainerStatsOpen says that the container is known. What follows on the job's Stdout
// are JSON objects, container.StatsResponse, a line each.
type ContainerStatsOpen struct{}

// ContainerStatsOut is empty.
type ContainerStatsOut struct{}
