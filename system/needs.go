package system

import (
	"context"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"

	"github.com/jobengine/engine/jobs"
)

// Containers is what system needs of the containers.
type Containers interface {
	// Counts tells how many containers run, are paused, and are neither.
	Counts() (running, paused, stopped int)
	// DiskUsage lists all containers with what they have written.
	DiskUsage(ctx context.Context) (*container.DiskUsage, error)
}

// Checker is a noun that can look after what it keeps.
type Checker interface {
	// Check lists what is not as it should be; with repair it mends what can be
	// mended without losing an object.
	Check(ctx context.Context, repair bool) ([]jobs.Finding, error)
}

// FullChecker is a Checker with more that takes long.
type FullChecker interface {
	Checker
	// CheckFull is Check, and reads all that is kept.
	CheckFull(ctx context.Context, repair bool) ([]jobs.Finding, error)
}

// Images is what system needs of the images.
type Images interface {
	// Count is the number of images, unnamed ones included.
	Count() int
	// DiskUsage lists the images with what they have alone and share.
	DiskUsage(ctx context.Context) (*image.DiskUsage, error)
}

// Graph is what system needs of the graph driver.
type Graph interface {
	Status() [][2]string
}

// Networks is what system needs of the networks.
type Networks interface {
	// Drivers names the drivers that networks can have, sorted.
	Drivers() []string
}

// Events is what system needs of the event bus.
type Events interface {
	// Subscribers counts those who listen now.
	Subscribers() int
}

// Runtimes is what system needs of the exec drivers.
type Runtimes interface {
	// Runtimes are those that a container may name.
	Runtimes() map[string]Runtime
}

// Runtime is an exec driver, or the program of an OCI runtime.
type Runtime struct {
	Path string
	Args []string
}
