package spec

import (
	"slices"
	"strings"

	units "github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/caps"
)

// DefaultPath is PATH where neither image nor user say one.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// InitPath is where the init is in a container that has one.
const InitPath = "/sbin/docker-init"

func (in *Input) process() (*specs.Process, error) {
	c, hc := in.Config, in.HostConfig
	p := &specs.Process{
		Terminal:     c.Tty,
		User:         in.User.Spec,
		Args:         append([]string{in.Path}, in.Args...),
		Env:          Env(c.Env, in.Hostname, in.User.Home, c.Tty),
		Cwd:          Cwd(c.WorkingDir),
		OOMScoreAdj:  ptr(hc.OomScoreAdj),
		Rlimits:      in.rlimits(),
		Capabilities: Capabilities(in.capabilities(), in.User.Spec.UID),
	}
	if hc.Umask != nil {
		p.User.Umask = ptr(*hc.Umask)
	}
	if size := hc.ConsoleSize; c.Tty && size[0] > 0 && size[1] > 0 {
		p.ConsoleSize = &specs.Box{Height: size[0], Width: size[1]}
	}
	if in.Init != "" {
		p.Args = append([]string{InitPath, "--"}, p.Args...)
	}
	security, err := in.security()
	if err != nil {
		return nil, err
	}
	p.NoNewPrivileges = security.NoNewPrivileges
	p.ApparmorProfile, err = in.apparmor()
	return p, err
}

// Env is the environment of a container: defaults, then the user's on top of them.
func Env(env []string, hostname, home string, tty bool) []string {
	defaults := []string{"PATH=" + DefaultPath, "HOSTNAME=" + hostname}
	if tty {
		defaults = append(defaults, "TERM=xterm")
	}
	merged := MergeEnv(defaults, env)
	if home != "" && !slices.ContainsFunc(merged, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		merged = append(merged, "HOME="+home)
	}
	return merged
}

// MergeEnv puts env on top of base: what has the same name takes the other's
// place, and a name without "=" is removed.
func MergeEnv(base, env []string) []string {
	merged := make([]string, 0, len(base)+len(env))
	place := make(map[string]int, len(base)+len(env))
	for _, kv := range slices.Concat(base, env) {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := place[name]; ok {
			merged[i] = kv
			continue
		}
		place[name] = len(merged)
		merged = append(merged, kv)
	}
	return slices.DeleteFunc(merged, func(kv string) bool { return !strings.Contains(kv, "=") })
}

// Cwd is the folder in which a process starts.
func Cwd(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

// capabilities is the bounding set of the container.
func (in *Input) capabilities() []string {
	return BoundingSet(in.HostConfig.Privileged, in.HostConfig.CapAdd, in.HostConfig.CapDrop, in.Host.Capabilities)
}

// BoundingSet computes the capabilities that root has in a container. add and
// drop are normal names; all is what the host can give.
func BoundingSet(privileged bool, add, drop, all []string) []string {
	if privileged {
		return all
	}
	return caps.Tweak(caps.Default(), add, drop, all)
}

// Capabilities makes the sets of a process. Nobody but root has any at first;
// inheritable and ambient ones are nobody's, so that no exec gains any.
func Capabilities(bounding []string, uid uint32) *specs.LinuxCapabilities {
	set := &specs.LinuxCapabilities{Bounding: bounding}
	if uid == 0 {
		set.Effective, set.Permitted = bounding, bounding
	}
	return set
}

// rlimits: open files are 1024, and as many as programs need that ask for
// more; core dumps are not written unless somebody asks. All else is inherited.
func (in *Input) rlimits() []specs.POSIXRlimit {
	const softFiles, hardFiles = 1024, 524288
	hard := min(hardFiles, in.Host.NoFileHard)
	limits := []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: min(softFiles, hard), Hard: hard},
		{Type: "RLIMIT_CORE", Soft: 0, Hard: in.Host.CoreHard},
	}
	for _, u := range in.HostConfig.Ulimits {
		limits = withLimit(limits, u)
	}
	return limits
}

func withLimit(limits []specs.POSIXRlimit, u *units.Ulimit) []specs.POSIXRlimit {
	l := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)}
	for i := range limits {
		if limits[i].Type == l.Type {
			limits[i] = l
			return limits
		}
	}
	return append(limits, l)
}
