package request

import (
	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/hostinfo"
)

// Rules are what requests are held to besides docker's own: what the host can
// do, and how the daemon is configured.
type Rules struct {
	Host     hostinfo.Host
	HostName func() string // the host's name, which may change

	ExecDriver     string   // the default
	StockDriver    string   // what the runtime "runc" means
	ExecDrivers    []string // that may be named as a runtime
	CgroupDriver   string   // who makes cgroups, of package cgroupnames
	DefaultLog     string
	DefaultLogOpts map[string]string
	ShmSizeBytes   int64
	Ulimits        []*units.Ulimit // of containers that do not name them
	Defaults       spec.Defaults
	AppArmor       bool // the kernel has it
	Remapped       bool // containers have a user namespace of their own unless they ask for the host's
	CheckLog       func(container.LogConfig) error
}
