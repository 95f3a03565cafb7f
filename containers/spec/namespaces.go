package spec

import (
	"maps"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (in *Input) namespaces() []specs.LinuxNamespace {
	hc := in.HostConfig
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	add := func(t specs.LinuxNamespaceType, own bool) {
		if own {
			list = append(list, specs.LinuxNamespace{Type: t})
		}
	}
	add(specs.NetworkNamespace, !in.HostNetwork)
	add(specs.UTSNamespace, !hc.UTSMode.IsHost())
	add(specs.PIDNamespace, !hc.PidMode.IsHost())
	add(specs.IPCNamespace, !hc.IpcMode.IsHost())
	add(specs.CgroupNamespace, in.privateCgroupns())
	return list
}

// privateCgroupns follows docker: private on cgroup v2, the host's on v1,
// unless the user says otherwise; a privileged container has the host's.
func (in *Input) privateCgroupns() bool {
	mode := in.HostConfig.CgroupnsMode
	if mode.IsEmpty() {
		return in.Host.CgroupVersion == 2 && !in.HostConfig.Privileged
	}
	return mode.IsPrivate()
}

// sysctls let any user of the container open low ports and send pings, neither
// of which concerns the host if the network namespace is the container's own.
func (in *Input) sysctls() map[string]string {
	set := map[string]string{}
	if !in.HostNetwork {
		set["net.ipv4.ip_unprivileged_port_start"] = "0"
		set["net.ipv4.ping_group_range"] = "0 2147483647"
	}
	maps.Copy(set, in.HostConfig.Sysctls)
	return set
}
