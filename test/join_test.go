//go:build system

package test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
)

func (e *engine) stateOf(name string) string {
	e.t.Helper()
	return e.must("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)
}

func namespace(t *testing.T, e *engine, name, kind string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + e.must("inspect", "-f", "{{.State.Pid}}", name) + "/ns/" + kind)
	assert.NilError(t, err)
	return link
}

// What containers share is there for as long as any of them lives, whichever part of the engine dies meanwhile.
func TestJoinedNamespacesOutliveTheDaemon(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "--ipc", "shareable", "busybox", "sleep", "1000")
	e.must("run", "-d", "--name", "early", "--pid", "container:web", "--ipc", "container:web", "--network", "container:web", "busybox", "sleep", "1000")
	e.must("exec", "early", "sh", "-c", "echo shared >/dev/shm/file")
	e.Kill()
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("exec", "web", "cat", "/dev/shm/file"), "shared")
	assert.Equal(t, e.must("run", "--rm", "--ipc", "container:web", "busybox", "cat", "/dev/shm/file"), "shared")
	e.must("run", "-d", "--name", "late", "--pid", "container:web", "--network", "container:early", "busybox", "sleep", "1000")
	for _, kind := range []string{"pid", "net"} {
		assert.Equal(t, namespace(t, e, "late", kind), namespace(t, e, "web", kind))
	}
	// The first process of a pid namespace takes all with it.
	e.must("kill", "web")
	for _, name := range []string{"early", "late"} {
		assert.Equal(t, e.must("wait", name), "137")
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	assert.NilError(t, err)
	assert.Assert(t, !strings.Contains(string(mounts), e.ExecRoot+"/shm"), "the shared memory is still mounted")
	left, err := os.ReadDir(e.ExecRoot + "/shm")
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0)
	e.must("start", "web")
	assert.Equal(t, e.must("run", "--rm", "--ipc", "container:web", "busybox", "ls", "/dev/shm"), "", "each run begins with an empty one")
}

// A container that shares another's processes is ended whole all the same: there is no namespace whose end would do it.
func TestNothingOfAJoinedContainerIsLeftInTheOther(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	for _, mode := range []string{"container:web", "host"} {
		for _, init := range []string{"--init=false", "--init"} {
			e.must("run", "-d", init, "--name", "guest", "--pid", mode, "busybox", "sh", "-c", "setsid sleep 4242 & setsid sleep 4242 & sleep 4242")
			eventually(t, "the guest's processes are there", func() bool {
				return strings.Count(e.must("top", "guest", "-o", "pid,args"), "sleep 4242") >= 3
			})
			e.must("stop", "-t", "0", "guest")
			assert.Assert(t, !strings.Contains(e.must("top", "web", "-o", "pid,args"), "4242"))
			assert.Assert(t, !strings.Contains(e.must("exec", "web", "ps"), "4242"), "%s %s", mode, init)
			e.must("rm", "guest")
			assert.Equal(t, e.stateOf("web"), "running 0")
		}
	}
}

// Those that join wait for those that they join, in the daemon's life and at its start.
func TestPoliciesStartJoinedContainersInOrder(t *testing.T) {
	e := startLoaded(t)
	// Made so that neither names nor age give the order.
	e.must("run", "-d", "--name", "middle", "--restart", "always", "--ipc", "shareable", "busybox", "sleep", "1000")
	e.must("run", "-d", "--name", "aa", "--restart", "always", "--pid", "container:middle", "busybox", "sleep", "1000")
	e.must("run", "-d", "--name", "zz", "--restart", "always", "--pid", "container:aa", "--ipc", "container:middle", "--network", "container:aa", "busybox", "sleep", "1000")
	all := []string{"middle", "aa", "zz"}
	together := func() bool {
		for _, name := range all {
			if e.stateOf(name) != "running 0" {
				return false
			}
		}
		pid := e.any("exec", "middle", "readlink", "/proc/1/ns/pid").Out()
		return pid != "" && e.any("exec", "zz", "readlink", "/proc/1/ns/pid").Out() == pid
	}
	assert.Assert(t, together())
	for range 3 {
		before := e.must("inspect", "-f", "{{.State.Pid}}", "middle")
		assert.NilError(t, syscall.Kill(atoi(t, before), syscall.SIGKILL))
		eventually(t, "all three run again", func() bool {
			return e.must("inspect", "-f", "{{.State.Pid}}", "middle") != before && together()
		})
	}
	// As after a reboot: nothing lives any more when the daemon comes.
	pids := strings.Fields(e.must("inspect", "-f", "{{.State.Pid}}", "middle", "aa", "zz"))
	supervisor := parentOf(t, pids[0])
	e.Kill()
	assert.NilError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	for _, pid := range pids {
		_ = syscall.Kill(atoi(t, pid), syscall.SIGKILL)
	}
	assert.NilError(t, e.Start())
	eventually(t, "all three run after the daemon's start", together)
}

// A start that cannot be leaves nothing, says why in docker's words, and is the client's mistake, not the server's.
func TestStartsThatCannotBeAreTakenBackWhole(t *testing.T) {
	e := startLoaded(t)
	file := t.TempDir() + "/file"
	assert.NilError(t, os.WriteFile(file, nil, 0o644))
	e.create("off", "true")
	e.must("run", "-d", "--name", "own", "busybox", "sleep", "1000")
	device := func(path string) map[string]any {
		return map[string]any{"IpcMode": "shareable", "Devices": []map[string]string{{"PathOnHost": path, "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}}}
	}
	own, off := e.must("inspect", "-f", "{{.Id}}", "own"), e.must("inspect", "-f", "{{.Id}}", "off")
	for _, c := range []struct {
		user string
		host map[string]any
		code int
		text string
	}{
		{"nosuch", nil, 400, "unable to find user nosuch: no matching entries in passwd file"},
		{"0:nosuch", nil, 400, "unable to find group nosuch: no matching entries in group file"},
		{"4294967296", nil, 400, "uids and gids must be in range 0-2147483647"},
		{"", map[string]any{"GroupAdd": []string{"nosuch"}}, 400, "unable to find group nosuch"},
		{"", device(file), 400, fmt.Sprintf("error gathering device information while adding custom device %q: not a device node", file)},
		{"", device(file + "x"), 400, "no such file or directory"},
		{"", map[string]any{"DeviceRequests": []map[string]any{{"Count": -1, "Capabilities": [][]string{{"gpu"}}}}}, 400,
			`could not select device driver "" with capabilities: [[gpu]]`},
		{"", map[string]any{"PidMode": "container:off"}, 409, "container " + off + " is not running"},
		{"", map[string]any{"IpcMode": "container:off"}, 409, "can't join IPC of container " + off + ": container " + off + " is not running"},
		{"", map[string]any{"IpcMode": "container:own"}, 409, "can't join IPC of container " + own + ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)"},
		{"", map[string]any{"NetworkMode": "container:off"}, 409, "cannot join network of a non running container: " + off},
		{"", map[string]any{"NetworkMode": "container:nosuch"}, 404, "No such container: nosuch"},
	} {
		e.must("rm", "-f", "it")
		assert.NilError(t, e.JSON("POST", "/containers/create?name=it", map[string]any{"Image": "busybox", "Cmd": []string{"true"}, "User": c.user, "HostConfig": c.host}, nil))
		code, body, _, err := e.Do("POST", "/containers/it/start", nil)
		assert.NilError(t, err)
		assert.Equal(t, code, c.code, body)
		text := e.must("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "it")
		assert.Assert(t, strings.HasPrefix(text, "created 128 ") && strings.Contains(text, c.text), "%s: want %s", text, c.text)
		mounts, err := os.ReadFile("/proc/self/mounts")
		assert.NilError(t, err)
		assert.Assert(t, !strings.Contains(string(mounts), e.must("inspect", "-f", "{{.Id}}", "it")), "a mount is left: %s", mounts)
	}
	// One that is removed when it ends is gone after a start that could not be.
	res := e.any("run", "--rm", "--ipc", "shareable", "-u", "nosuch", "busybox", "true")
	assert.Equal(t, res.Code, 125)
	assert.Equal(t, len(strings.Fields(e.must("ps", "-aq"))), 3)
}

// CVE-2024-3056 and its like: what containers do to their memory stays theirs, and goes with them.
func TestNothingIsLeftOfSharedMemory(t *testing.T) {
	shm := func() string {
		entries, err := os.ReadDir("/dev/shm")
		assert.NilError(t, err)
		return fmt.Sprint(entries)
	}
	e := startProbe(t)
	e.load()
	before := shm()
	for _, mode := range []string{"private", "shareable", "none"} {
		e.must("run", "--rm", "--ipc", mode, "busybox", "sh", "-c", "echo x >/dev/shm/PWNED; true")
		assert.Equal(t, shm(), before, mode)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	assert.NilError(t, err)
	for line := range strings.Lines(string(mounts)) {
		assert.Assert(t, !strings.HasPrefix(line, "shm "+e.ExecRoot), line)
	}
}

// CVE-2025-52565: the name of a terminal's other end is exchanged with a link
// while it becomes /dev/console. It is a terminal, or the start fails.
func TestARacedConsoleIsATerminal(t *testing.T) {
	h := newHost(t)
	e := startProbe(t)
	shared := t.TempDir()
	assert.NilError(t, os.WriteFile(shared+"/0", nil, 0o666))
	assert.NilError(t, os.Symlink(h.aim+"/secret", shared+"/b"))
	e.must("run", "-d", "--name", "racer", "-v", shared+":/shared", "probe", "/probe", "race", "/shared/0", "/shared/b")
	eventually(t, "the race is on", func() bool { return strings.Contains(e.must("logs", "racer"), "racing") })
	for i := range 40 {
		host := map[string]any{"Binds": []string{shared + ":/dev/pts"}}
		if i%2 == 0 {
			host["Binds"] = []string{shared + ":/mnt"}
		}
		assert.NilError(t, e.JSON("POST", "/containers/create?name=victim", map[string]any{"Image": "probe", "Cmd": []string{"/probe", "wait"}, "Tty": true, "HostConfig": host}, nil))
		code, body, _, err := e.Do("POST", "/containers/victim/start", nil)
		assert.NilError(t, err)
		if code == 204 {
			var st syscall.Stat_t
			console := "/proc/" + e.must("inspect", "-f", "{{.State.Pid}}", "victim") + "/root/dev/console"
			assert.NilError(t, syscall.Stat(console, &st))
			assert.Equal(t, st.Mode&syscall.S_IFMT, uint32(syscall.S_IFCHR))
			assert.Equal(t, st.Rdev>>8&0xfff, uint64(136), "the console is a pseudo terminal")
		} else {
			assert.Assert(t, i%2 == 1, "without anything over /dev/pts it starts: %s", body)
		}
		e.must("rm", "-f", "victim")
	}
	h.unchanged(t)
}

// The hosts' other namespaces: cgroups are never writable without asking.
func TestCgroupsAreReadOnlyInEveryNamespaceMode(t *testing.T) {
	e := startLoaded(t)
	for _, mode := range []string{"host", "private"} {
		for _, flags := range [][]string{nil, {"--cap-add", "ALL"}, {"--security-opt", "writable-cgroups=false"}} {
			args := append([]string{"run", "--rm", "--cgroupns", mode}, flags...)
			out := e.must(append(args, "busybox", "sh", "-c",
				`for d in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do touch $d/x; mkdir $d/y; echo 1 >$d/cgroup.procs; echo $d; done 2>&1`)...)
			tries, refusals := strings.Count("\n"+out, "\n/sys/fs/cgroup"), strings.Count(out, "Read-only file system")
			assert.Assert(t, tries > 0, out)
			assert.Equal(t, refusals, 3*tries, "%s %v: %s", mode, flags, out)
		}
	}
}

// A daemon that is killed between the making of shared memory and its record leaves no mount for ever.
func TestSharedMemoryOfAKilledStartIsTakenAway(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "--ipc", "shareable", "busybox", "sleep", "1000")
	e.must("exec", "web", "sh", "-c", "echo mine >/dev/shm/file")
	e.must("create", "--name", "made", "--ipc", "shareable", "busybox", "true")
	e.Kill()
	var left []string
	for _, id := range []string{strings.Repeat("ab", 32), "made"} {
		path := e.ExecRoot + "/shm/" + id
		assert.NilError(t, os.MkdirAll(path, 0o700))
		assert.NilError(t, syscall.Mount("shm", path, "tmpfs", 0, ""))
		left = append(left, path)
	}
	assert.NilError(t, e.Start())
	for _, path := range left {
		_, err := os.Lstat(path)
		assert.Assert(t, os.IsNotExist(err), "%s is left", path)
	}
	assert.Equal(t, e.must("run", "--rm", "--ipc", "container:web", "busybox", "cat", "/dev/shm/file"), "mine")
}
