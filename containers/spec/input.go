package spec

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/idmap"
)

// Input is all that a spec depends on.
type Input struct {
	ID         string
	Rootfs     string // absolute path on the host
	Path       string // the program
	Args       []string
	Config     *container.Config
	HostConfig *container.HostConfig
	Hostname   string
	IDs        idmap.Map // of the container's user namespace; zero without one
	User       User      // found by FindUser
	Binds      []Bind
	Tmpfs      map[string]string // target to options
	Devices    []Device          // of the host, for HostConfig.Devices, or all for a privileged container

	// CgroupsPath is absolute in the cgroup hierarchies.
	CgroupsPath string
	PidsBound   int64 // processes that a container without a limit may have; 0 is any number
	HostNetwork bool
	Host        Host
	Defaults    Defaults
	Init        string // program of the host that is to run first; "" for none
	Join        Join
}

// Join are other containers' namespaces that this one shares.
type Join struct {
	PID, IPC, Network, User string // paths such as /proc/PID/ns/pid; "" for a namespace as the modes say
	Shm                     string // folder of the host for /dev/shm; "" for one of the container's own
}

// Bind is a file or folder of the host that appears in the container.
type Bind struct {
	Source, Destination string
	ReadOnly            bool
	NonRecursive        bool
	Propagation         string // "" is rprivate
	Mapped              bool   // files have the container's ids and not the host's
}

// Host is what the spec must know of the host.
type Host struct {
	CgroupVersion int
	Seccomp       bool     // the exec driver can load a filter
	Capabilities  []string // that can be given away
	NoFileHard    uint64   // hard limit of open files that a child can have
	CoreHard      uint64
	Mqueue        bool // the kernel has the mqueue file system
	AppArmor      bool
	MqueueMounted bool // at /dev/mqueue
}
