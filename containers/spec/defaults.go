package spec

import "github.com/moby/moby/api/types/container"

// Defaults are what the daemon's configuration says for containers that say
// nothing. The zero value is docker's.
type Defaults struct {
	Init            bool // an init runs first
	NoNewPrivileges bool
	// Seccomp is a profile as JSON, "unconfined", or "" or "builtin" for the one that is built in.
	Seccomp string
	// AppArmor is the profile, which is loaded; "" where there is none.
	AppArmor     string
	IpcMode      container.IpcMode      // "" is private
	CgroupnsMode container.CgroupnsMode // "" is private on cgroup version 2, else the host's
}

// Ipc is the mode of a container that names none.
func (d Defaults) Ipc() container.IpcMode {
	if d.IpcMode.IsEmpty() {
		return container.IPCModePrivate
	}
	return d.IpcMode
}

// Cgroupns is the mode of a container that names none. A privileged one has the
// host's on version 1, where a namespace would hide what it may write to.
func (d Defaults) Cgroupns(version int, privileged bool) container.CgroupnsMode {
	switch {
	case version != 2 && privileged:
		return container.CgroupnsModeHost
	case !d.CgroupnsMode.IsEmpty():
		return d.CgroupnsMode
	case version == 2:
		return container.CgroupnsModePrivate
	}
	return container.CgroupnsModeHost
}
