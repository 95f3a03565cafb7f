package execdriver

import (
	"context"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/usage"
)

// An Updater can change what a running container may use. Limits that are nil
// or empty stay as they are, devices are never touched. After an error the old
// limits hold. ErrNotRunning when the first process has ended.
type Updater interface {
	Update(ctx context.Context, id string, limits *specs.LinuxResources) error
}

// A Statser can tell what a container uses, until Delete.
type Statser interface {
	Stats(ctx context.Context, id string) (Stats, error)
}

// Stats is what a container uses at one moment.
type Stats = usage.Usage

// An OOMWatcher can tell of a container that runs out of memory while it lives on.
type OOMWatcher interface {
	// WatchOOM gives a file in the poller that becomes readable when the
	// container's memory may have run out. The receiver reads it, and closes it
	// before Delete or after.
	WatchOOM(ctx context.Context, id string) (*os.File, error)
	// OOMKills counts the processes of the container that were killed for it.
	// On cgroup v1 it may count one only a moment after the file has told of it.
	OOMKills(ctx context.Context, id string) (uint64, error)
}
