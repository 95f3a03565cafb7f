package spec

import (
	"maps"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (in *Input) namespaces() []specs.LinuxNamespace {
	hc := in.HostConfig
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	// A namespace with a path is another container's.
	add := func(t specs.LinuxNamespaceType, own bool, path string) {
		if own {
			list = append(list, specs.LinuxNamespace{Type: t, Path: path})
		}
	}
	add(specs.NetworkNamespace, !in.HostNetwork, in.Join.Network)
	add(specs.UTSNamespace, !hc.UTSMode.IsHost(), "")
	add(specs.PIDNamespace, !hc.PidMode.IsHost(), in.Join.PID)
	add(specs.IPCNamespace, !hc.IpcMode.IsHost(), in.Join.IPC)
	add(specs.CgroupNamespace, in.privateCgroupns(), "")
	return list
}

// privateCgroupns says whether the container sees its own cgroup as the root of all.
func (in *Input) privateCgroupns() bool {
	mode := in.HostConfig.CgroupnsMode
	if mode.IsEmpty() {
		mode = in.Defaults.Cgroupns(in.Host.CgroupVersion, in.HostConfig.Privileged)
	}
	return mode.IsPrivate()
}

// sysctls let any user of the container open low ports and send pings, neither
// of which concerns the host if the network namespace is the container's own.
func (in *Input) sysctls() map[string]string {
	set := map[string]string{}
	if !in.HostNetwork && in.Join.Network == "" {
		set["net.ipv4.ip_unprivileged_port_start"] = "0"
		set["net.ipv4.ping_group_range"] = "0 2147483647"
	}
	maps.Copy(set, in.HostConfig.Sysctls)
	return set
}
