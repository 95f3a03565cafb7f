package spec

import (
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"
)

func withHost(hc *container.HostConfig) Input {
	return Input{Path: "sh", Config: &container.Config{}, HostConfig: hc, Host: Host{CgroupVersion: 2, Seccomp: true}}
}

func TestNamespacesOfOthersAreJoinedByPath(t *testing.T) {
	in := withHost(&container.HostConfig{PidMode: "container:x", IpcMode: "container:x", NetworkMode: "container:x"})
	in.Join = Join{PID: "/proc/7/ns/pid", IPC: "/proc/7/ns/ipc", Network: "/proc/7/ns/net", Shm: "/run/shm-of-x"}
	s, err := Make(in)
	assert.NilError(t, err)
	paths := map[specs.LinuxNamespaceType]string{}
	for _, n := range s.Linux.Namespaces {
		paths[n.Type] = n.Path
	}
	assert.DeepEqual(t, paths, map[specs.LinuxNamespaceType]string{
		"mount": "", "uts": "", "cgroup": "", "pid": "/proc/7/ns/pid", "ipc": "/proc/7/ns/ipc", "network": "/proc/7/ns/net",
	})
	assert.Equal(t, len(s.Linux.Sysctl), 0, "the sysctls of another's network are not touched")
	i := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" })
	assert.Equal(t, s.Mounts[i].Source, "/run/shm-of-x")
}

func TestTheInitRunsFirst(t *testing.T) {
	in := withHost(&container.HostConfig{})
	in.Args, in.Init = []string{"-c", "true"}, "/var/lib/engine/init/x"
	in.Binds = []Bind{{Source: "/etc", Destination: "/sbin"}}
	s, err := Make(in)
	assert.NilError(t, err)
	assert.DeepEqual(t, s.Process.Args, []string{"/sbin/docker-init", "--", "sh", "-c", "true"})
	at := func(target string) int {
		return slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == target })
	}
	m := s.Mounts[at("/sbin/docker-init")]
	assert.Equal(t, m.Source, "/var/lib/engine/init/x")
	assert.DeepEqual(t, m.Options, []string{"bind", "ro", "nosuid", "nodev"})
	assert.Assert(t, at("/sbin/docker-init") < at("/sbin"), "a file is not made in the user's folder")
}

func TestTheDaemonsDefaultsHoldWhereAContainerSaysNothing(t *testing.T) {
	profile := `{"defaultAction":"SCMP_ACT_LOG"}`
	defaults := Defaults{NoNewPrivileges: true, Seccomp: profile, CgroupnsMode: "host"}
	in := withHost(&container.HostConfig{})
	in.Defaults = defaults
	s, err := Make(in)
	assert.NilError(t, err)
	assert.Assert(t, s.Process.NoNewPrivileges)
	assert.Equal(t, s.Linux.Seccomp.DefaultAction, specs.ActLog)
	assert.Assert(t, !slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == "cgroup" }))

	in.HostConfig = &container.HostConfig{CgroupnsMode: "private", SecurityOpt: []string{"no-new-privileges=false", "seccomp=builtin"}}
	s, err = Make(in)
	assert.NilError(t, err)
	assert.Assert(t, !s.Process.NoNewPrivileges)
	assert.Equal(t, s.Linux.Seccomp.DefaultAction, specs.ActErrno)
	assert.Assert(t, slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == "cgroup" }))

	in.HostConfig = &container.HostConfig{Privileged: true}
	s, err = Make(in)
	assert.NilError(t, err)
	assert.Assert(t, s.Linux.Seccomp == nil, "privileged is without a filter, whatever the default")

	in.Defaults.Seccomp, in.HostConfig = "unconfined", &container.HostConfig{}
	s, err = Make(in)
	assert.NilError(t, err)
	assert.Assert(t, s.Linux.Seccomp == nil)

	e, err := Exec(ExecInput{Rootfs: t.TempDir(), Config: &container.Config{}, HostConfig: &container.HostConfig{}, Defaults: defaults, Args: []string{"sh"}})
	assert.NilError(t, err)
	assert.Assert(t, e.NoNewPrivileges, "in exec too")
}

func TestCgroupsAreWrittenToByWhomItWasGiven(t *testing.T) {
	for _, c := range []struct {
		hc   container.HostConfig
		want string
	}{
		{container.HostConfig{}, "ro"},
		{container.HostConfig{Privileged: true}, "rw"},
		{container.HostConfig{SecurityOpt: []string{"writable-cgroups"}}, "rw"},
		{container.HostConfig{SecurityOpt: []string{"writable-cgroups=true"}}, "rw"},
		{container.HostConfig{Privileged: true, SecurityOpt: []string{"writable-cgroups=false"}}, "ro"},
	} {
		s, err := Make(withHost(&c.hc))
		assert.NilError(t, err)
		i := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/sys/fs/cgroup" })
		assert.Assert(t, slices.Contains(s.Mounts[i].Options, c.want), "%+v: %v", c.hc.SecurityOpt, s.Mounts[i].Options)
	}
}

func TestAnnotationsThatAreOrdersAreNotHandedOn(t *testing.T) {
	all := map[string]string{"a": "b", "org.systemd.property.TimeoutStopUSec": "1", "run.oci.handler": "krun", "org.criu.config": "/x"}
	s, err := Make(withHost(&container.HostConfig{Annotations: all}))
	assert.NilError(t, err)
	assert.DeepEqual(t, s.Annotations, map[string]string{"a": "b"})
	assert.Equal(t, len(all), 4, "what the container has is not touched")
}

func TestAppArmorIsAppliedWhereThereIsOne(t *testing.T) {
	for _, c := range []struct {
		there bool
		hc    container.HostConfig
		want  string
	}{
		{false, container.HostConfig{SecurityOpt: []string{"apparmor=mine"}}, ""},
		{true, container.HostConfig{SecurityOpt: []string{"apparmor=mine"}}, "mine"},
		{true, container.HostConfig{SecurityOpt: []string{"apparmor:unconfined"}}, "unconfined"},
		{true, container.HostConfig{Privileged: true}, "unconfined"},
		{true, container.HostConfig{}, "engine-default"},
		{true, container.HostConfig{Privileged: true, SecurityOpt: []string{"apparmor=mine"}}, "mine"},
		{false, container.HostConfig{}, ""},
	} {
		in := withHost(&c.hc)
		in.Host.AppArmor, in.Defaults.AppArmor = c.there, "engine-default"
		s, err := Make(in)
		assert.NilError(t, err)
		assert.Equal(t, s.Process.ApparmorProfile, c.want)
	}
}
