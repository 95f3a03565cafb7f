package request

import (
	"slices"
	"strings"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/caps"
	"github.com/jobengine/engine/internal/errs"
)

// CheckHostConfig checks how the container is to be tied to the host, and
// normalises names. Errors are of the classes invalid and not implemented, in
// docker's words where it has some; warnings tell of limits that the host lacks
// and that are taken out of hc.
func (rules *Rules) CheckHostConfig(cfg *container.Config, hc *container.HostConfig) (warnings []string, err error) {
	for _, check := range []func() error{
		func() error { return checkPolicy(hc.RestartPolicy, hc.AutoRemove) },
		func() error { return checkJoinedNetwork(cfg, hc) },
		func() error { return checkModes(cfg, hc) },
		func() error { return rules.checkUserns(hc) },
		func() error {
			warnings, err = rules.checkResources(&hc.Resources, false)
			return err
		},
		func() error { return checkCapabilities(hc) },
		func() error { return rules.checkSecurity(hc) },
		func() error { return checkTmpfs(hc) },
		func() error { return checkExtraHosts(hc.ExtraHosts) },
		func() error { return checkDNS(hc) },
		func() error { return checkSysctls(hc) },
		func() error { return rules.checkRuntime(hc) },
		func() error { return rules.CheckLog(hc.LogConfig) },
		func() error { return unsupported(hc) },
		func() error { return CheckNetwork(hc) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// checkModes checks the namespaces.
func checkModes(cfg *container.Config, hc *container.HostConfig) error {
	switch {
	case !hc.CgroupnsMode.Valid():
		return errs.Invalid("invalid cgroup namespace mode: %v", hc.CgroupnsMode)
	case !hc.IpcMode.Valid() || hc.IpcMode.IsContainer() && hc.IpcMode.Container() == "":
		return errs.Invalid("invalid IPC mode: %v", hc.IpcMode)
	case !hc.PidMode.Valid() || hc.PidMode.IsContainer() && hc.PidMode.Container() == "":
		return errs.Invalid("invalid PID mode: %v", hc.PidMode)
	case !hc.UTSMode.Valid():
		return errs.Invalid("invalid UTS mode: %v", hc.UTSMode)
	case !hc.UsernsMode.Valid():
		return errs.Invalid("invalid userns mode: %v", hc.UsernsMode)
	case !hc.Isolation.IsDefault():
		return errs.Invalid("invalid isolation: %q: Linux has only the default", hc.Isolation)
	case hc.UTSMode.IsHost() && cfg.Hostname != "":
		return errs.Invalid("conflicting options: hostname and the UTS mode")
	case hc.ShmSize < 0:
		return errs.Invalid("SHM size can not be less than 0")
	case hc.OomScoreAdj < -1000 || hc.OomScoreAdj > 1000:
		return errs.Invalid("Invalid value %d, range for oom score adj is [-1000, 1000]", hc.OomScoreAdj)
	case hc.Umask != nil && *hc.Umask > 0o777:
		return errs.Invalid("invalid umask %o: the range is 0 to 0777", *hc.Umask)
	}
	return nil
}

// checkUserns refuses what a user namespace has no power over.
func (rules *Rules) checkUserns(hc *container.HostConfig) error {
	switch {
	case !rules.Remapped || hc.UsernsMode.IsHost():
		return nil
	case hc.Privileged:
		return errs.Invalid("privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode")
	case hc.NetworkMode.IsHost():
		return errs.Invalid("cannot share the host's network namespace when user namespaces are enabled")
	case hc.PidMode.IsHost():
		return errs.Invalid("cannot share the host PID namespace when user namespaces are enabled")
	}
	return nil
}

func checkCapabilities(hc *container.HostConfig) error {
	var err error
	if hc.CapAdd, err = normalCaps(hc.CapAdd); err != nil {
		return errs.Invalid("invalid CapAdd: %v", err)
	}
	if hc.CapDrop, err = normalCaps(hc.CapDrop); err != nil {
		return errs.Invalid("invalid CapDrop: %v", err)
	}
	return nil
}

// normalCaps keeps nil and empty lists apart, as inspect shows them.
func normalCaps(names []string) ([]string, error) {
	if len(names) == 0 {
		return names, nil
	}
	return caps.Normalize(names)
}

// checkTmpfs checks HostConfig.Tmpfs.
func checkTmpfs(hc *container.HostConfig) error {
	for target, options := range hc.Tmpfs {
		if err := CheckTarget(target); err != nil {
			return err
		}
		if _, err := spec.TmpfsOptions(options); err != nil {
			return err
		}
	}
	return nil
}

// maxPath is the kernel's PATH_MAX, the 0 at the end counted. A sysctl's value is written as one piece and held to it too.
const maxPath = 4096

// ipcSysctl tells what belongs to the ipc namespace; all of net. belongs to the network's.
func ipcSysctl(name string) bool {
	switch name {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
		return true
	}
	return strings.HasPrefix(name, "fs.mqueue.")
}

// checkSysctls lets through only what belongs to a namespace of the container's own.
func checkSysctls(hc *container.HostConfig) error {
	for name, value := range hc.Sysctls {
		if len(name) >= maxPath || len(value) >= maxPath {
			return errs.Invalid("invalid sysctl %q: longer than %d bytes", name[:min(len(name), 64)], maxPath-1)
		}
		words := strings.Split(strings.ReplaceAll(name, "/", "."), ".")
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") != "" || slices.Contains(words, "") {
			return errs.Invalid("invalid sysctl name %q", name)
		}
		if strings.ContainsAny(value, "\n\r\x00") {
			return errs.Invalid("invalid value of sysctl %q", name)
		}
		// In a name with slashes a dot is part of a word: net/ipv4/conf/eth0.1/mtu.
		dotted := name
		if i, j := strings.IndexByte(name, '/'), strings.IndexByte(name, '.'); i >= 0 && (j < 0 || i < j) {
			dotted = strings.NewReplacer("/", ".", ".", "/").Replace(name)
		}
		switch {
		case ipcSysctl(dotted):
			if hc.IpcMode.IsHost() {
				return errs.Invalid("sysctl %q is not allowed in the host's ipc namespace", name)
			}
		case strings.HasPrefix(dotted, "net."):
			if hc.NetworkMode.IsHost() {
				return errs.Invalid("sysctl %q not allowed in host network namespace", name)
			}
		default:
			return errs.Invalid("sysctl %q is not in a separate kernel namespace", name)
		}
	}
	return nil
}

func (rules *Rules) checkRuntime(hc *container.HostConfig) error {
	if _, known := rules.DriverOf(hc.Runtime); !known {
		return errs.Invalid("Unknown runtime specified %s", hc.Runtime)
	}
	return nil
}

// DriverOf gives the exec driver that a container's runtime stands for.
func (rules *Rules) DriverOf(runtime string) (name string, known bool) {
	switch {
	case slices.Contains(rules.ExecDrivers, runtime):
		return runtime, true
	case runtime == "", runtime == rules.ExecDriver:
		return rules.ExecDriver, true
	case runtime == "runc", runtime == "io.containerd.runc.v2":
		// Compose files name runc, and mean what is there without configuration.
		return rules.StockDriver, true
	}
	return "", false
}

// checkUlimits checks names and that soft is not above hard.
func checkUlimits(list []*units.Ulimit) error {
	for _, u := range list {
		if u == nil {
			return errs.Invalid("invalid ulimit: null")
		}
		if _, err := u.GetRlimit(); err != nil {
			return errs.Invalid("%v", err)
		}
		if u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1) {
			return errs.Invalid("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
		}
	}
	return nil
}
