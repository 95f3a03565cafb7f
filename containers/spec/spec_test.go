package spec

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/jobengine/engine/internal/caps"
)

// plain is a container that asks for nothing, on a host of cgroup v1.
func plain() Input {
	return Input{
		ID: "c1", Rootfs: "/layers/c1/merged", Path: "sh", Args: []string{"-c", "true"},
		Config: &container.Config{Env: []string{"A=b"}}, HostConfig: &container.HostConfig{ShmSize: DefaultShmSize},
		Hostname: "c1", User: User{Spec: specs.User{AdditionalGids: []uint32{0}}, Home: "/root"},
		Binds:       []Bind{{Source: "/d/hosts", Destination: "/etc/hosts"}},
		CgroupsPath: "/engine/c1",
		Host:        Host{CgroupVersion: 1, Capabilities: append(caps.Default(), "CAP_NET_ADMIN", "CAP_SYS_ADMIN"), NoFileHard: 1 << 20, CoreHard: 1 << 63, Mqueue: true},
	}
}

func TestSpecsAreAsTheGoldenFilesSay(t *testing.T) {
	swappiness, pids := int64(0), int64(100)
	for name, change := range map[string]func(*Input){
		"default": func(*Input) {},
		"host-namespaces": func(in *Input) {
			in.HostNetwork = true
			in.HostConfig.NetworkMode, in.HostConfig.PidMode, in.HostConfig.IpcMode, in.HostConfig.UTSMode = "host", "host", "host", "host"
		},
		"privileged": func(in *Input) {
			in.HostConfig.Privileged = true
			in.Devices = []Device{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11, Mode: 0o644, Access: "rwm"}}
		},
		"cgroup-v2": func(in *Input) { in.Host.CgroupVersion = 2 },
		"user-tty": func(in *Input) {
			in.Config.Tty, in.Config.WorkingDir = true, "/work"
			in.Config.Env = []string{"TERM=vt100", "HOME=/h", "A=1"}
			in.User = User{Spec: specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{100, 29}}, Home: "/home/alice"}
			in.HostConfig.ConsoleSize = [2]uint{24, 80}
			in.HostConfig.CapAdd = []string{"CAP_NET_ADMIN"}
			in.HostConfig.SecurityOpt = []string{"no-new-privileges"}
		},
		"limits": func(in *Input) {
			in.HostConfig.Resources = container.Resources{
				Memory: 64 << 20, MemorySwap: 128 << 20, MemoryReservation: 32 << 20, MemorySwappiness: &swappiness,
				NanoCPUs: 15e8, CPUShares: 512, CpusetCpus: "0-1", PidsLimit: &pids, BlkioWeight: 300,
				Ulimits: []*units.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}, {Name: "nproc", Soft: 5, Hard: 6}},
			}
			in.HostConfig.OomScoreAdj = 300
			in.HostConfig.Sysctls = map[string]string{"net.core.somaxconn": "99"}
		},
		"mounts": func(in *Input) {
			in.HostConfig.ReadonlyRootfs = true
			in.HostConfig.IpcMode = "none"
			in.Tmpfs = map[string]string{"/run": "size=1m,exec", "/a/b": ""}
			in.Binds = append(in.Binds, Bind{Source: "/h", Destination: "/a", ReadOnly: true, Propagation: "rslave"},
				Bind{Source: "/dev/shm", Destination: "/dev/shm", NonRecursive: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := plain()
			change(&in)
			s, err := Make(in)
			assert.NilError(t, err)
			got, err := json.MarshalIndent(s, "", "  ")
			assert.NilError(t, err)
			golden.Assert(t, string(got)+"\n", name+".json")
		})
	}
}

func TestTheDeviceListIsExactlyThis(t *testing.T) {
	s, err := Make(plain())
	assert.NilError(t, err)
	var got []string
	for _, d := range s.Linux.Resources.Devices {
		number := func(n *int64) string {
			if n == nil {
				return "*"
			}
			return strconv.FormatInt(*n, 10)
		}
		got = append(got, map[bool]string{true: "+", false: "-"}[d.Allow]+d.Type+" "+number(d.Major)+":"+number(d.Minor)+" "+d.Access)
	}
	assert.DeepEqual(t, got, []string{
		"- *:* rwm", "+c *:* m", "+b *:* m", "+c 1:3 rwm", "+c 1:5 rwm", "+c 1:7 rwm", "+c 1:8 rwm", "+c 1:9 rwm",
		"+c 5:0 rwm", "+c 5:1 rwm", "+c 5:2 rwm", "+c 136:* rwm", "+c 10:200 rwm",
	})
}

func TestTheDefaultFilterDeniesWhatItMust(t *testing.T) {
	in := plain()
	in.Host.Seccomp = true
	s, err := Make(in)
	assert.NilError(t, err)
	f := s.Linux.Seccomp
	assert.Assert(t, f != nil)
	assert.Equal(t, f.DefaultAction, specs.ActErrno)
	allowed := map[string]bool{}
	for _, rule := range f.Syscalls {
		if rule.Action == specs.ActAllow && len(rule.Args) == 0 {
			for _, name := range rule.Names {
				allowed[name] = true
			}
		}
	}
	for _, name := range []string{"add_key", "keyctl", "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
		"mount", "umount2", "pivot_root", "fsopen", "open_tree", "move_mount", "mount_setattr", "open_by_handle_at", "kexec_load",
		"init_module", "delete_module", "reboot", "swapon", "acct", "settimeofday", "quotactl", "iopl", "setns", "unshare", "socket"} {
		assert.Assert(t, !allowed[name], "%s is allowed whatever its arguments", name)
	}
	for _, name := range []string{"read", "execve", "openat", "futex", "memfd_secret", "landlock_create_ruleset", "chroot"} {
		assert.Assert(t, allowed[name], "%s is not allowed", name)
	}
}

func TestTheFilterCanBeLeftOutOrReplaced(t *testing.T) {
	in := plain()
	in.Host.Seccomp = true
	in.HostConfig.SecurityOpt = []string{"seccomp=unconfined"}
	s, err := Make(in)
	assert.NilError(t, err)
	assert.Assert(t, s.Linux.Seccomp == nil)

	in.HostConfig.SecurityOpt = []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}`}
	s, err = Make(in)
	assert.NilError(t, err)
	assert.Equal(t, s.Linux.Seccomp.DefaultAction, specs.ActAllow)

	assert.Assert(t, CheckProfile(`{"defaultAction":1}`) != nil)
}

func TestNobodyButRootHasCapabilitiesAtFirst(t *testing.T) {
	root := Capabilities(caps.Default(), 0)
	assert.Equal(t, len(root.Effective), 14)
	assert.Equal(t, len(root.Inheritable)+len(root.Ambient), 0)
	other := Capabilities(caps.Default(), 1000)
	assert.Equal(t, len(other.Bounding), 14)
	assert.Equal(t, len(other.Effective)+len(other.Permitted)+len(other.Inheritable)+len(other.Ambient), 0)
}

func TestAnExecHasTheContainersLimitsAndEnvironment(t *testing.T) {
	root := image(t, "root:x:0:0::/root:\nalice:x:1000:1000::/home/alice:\n", "")
	in := plain()
	p, err := Exec(ExecInput{Rootfs: root, Config: in.Config, HostConfig: in.HostConfig, Hostname: "h", Host: in.Host,
		Args: []string{"id"}, Env: []string{"A=c", "B=d"}, User: "alice"})
	assert.NilError(t, err)
	assert.Equal(t, strings.Join(p.Env, " "), "PATH="+DefaultPath+" HOSTNAME=h A=c B=d HOME=/home/alice")
	assert.Equal(t, p.User.UID, uint32(1000))
	assert.Equal(t, len(p.Capabilities.Effective), 0)
	p, err = Exec(ExecInput{Rootfs: root, Config: in.Config, HostConfig: in.HostConfig, Host: in.Host, Args: []string{"id"}, Privileged: true})
	assert.NilError(t, err)
	assert.Assert(t, slices.Contains(p.Capabilities.Effective, "CAP_SYS_ADMIN"))
}

func TestTmpfsOptionsAreCheckedByName(t *testing.T) {
	got, err := TmpfsOptions("rw,exec,size=64m,mode=1777")
	assert.NilError(t, err)
	assert.Equal(t, strings.Join(got, ","), "nosuid,nodev,rw,exec,size=64m,mode=1777")
	for _, bad := range []string{"foo", "size=", "context=x", "lowerdir=/"} {
		_, err := TmpfsOptions(bad)
		assert.ErrorContains(t, err, "invalid tmpfs option", bad)
	}
}

func TestDeviceRulesAreReadOrRefused(t *testing.T) {
	r, err := ParseDeviceRule("c 13:* rw")
	assert.NilError(t, err)
	assert.Assert(t, r.Minor == nil && *r.Major == 13 && r.Access == "rw" && r.Allow)
	for _, bad := range []string{"", "x 1:1 r", "c 1 r", "c 1:1 z", "c 99999999999:1 r", "c 1:1 r\n"} {
		_, err := ParseDeviceRule(bad)
		assert.Assert(t, err != nil, bad)
	}
}
