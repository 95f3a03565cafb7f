package spec

import (
	"maps"
	"math"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/idmap"
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
	add(specs.UserNamespace, !in.IDs.IsZero(), in.Join.User)
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

// idMappings are ranges as the OCI spec has them.
func idMappings(ranges []idmap.Range) []specs.LinuxIDMapping {
	var list []specs.LinuxIDMapping
	for _, r := range ranges {
		list = append(list, specs.LinuxIDMapping{ContainerID: r.Container, HostID: r.Host, Size: r.Size})
	}
	return list
}

// lastGID is the highest group that a process of the container can have.
func (in *Input) lastGID() uint32 {
	if in.IDs.IsZero() {
		return math.MaxInt32
	}
	// The kernel refuses a range with a group that the namespace lacks.
	return min(in.IDs.FirstGIDs()-1, math.MaxInt32)
}

// sysctls let any user of the container open low ports and send pings, neither
// of which concerns the host if the network namespace is the container's own.
func (in *Input) sysctls() map[string]string {
	set := map[string]string{}
	if !in.HostNetwork && in.Join.Network == "" {
		set["net.ipv4.ip_unprivileged_port_start"] = "0"
		set["net.ipv4.ping_group_range"] = "0 " + strconv.FormatUint(uint64(in.lastGID()), 10)
	}
	maps.Copy(set, in.HostConfig.Sysctls)
	return set
}
