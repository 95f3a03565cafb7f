//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// startRemapped gives a daemon with user namespaces that has busybox. It sees an
// /etc of its own, where prepare may change what is there: accounts are made in
// it, and not in the machine's.
func startRemapped(t *testing.T, prepare string, flags ...string) *engine {
	t.Helper()
	dir, wrap := privateEtc(t, prepare)
	return loaded(t, harness.Options{Dir: dir, Wrap: wrap, Flags: append([]string{"--userns-remap=default"}, flags...)})
}

func loaded(t *testing.T, o harness.Options) *engine {
	t.Helper()
	e := startWith(t, o)
	e.load()
	return e
}

// privateEtc gives a folder for a daemon, and what to wrap it in: a mount
// namespace where /etc is DIR/etc/upper on top of the machine's. It lasts as long as
// the test, so that a daemon may come again.
func privateEtc(t *testing.T, prepare string) (dir string, wrap []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-test-")
	assert.NilError(t, err)
	assert.NilError(t, os.Chmod(dir, 0o711)) // the remapped root has to get to the exec root
	for _, name := range []string{"upper", "work"} {
		assert.NilError(t, os.MkdirAll(filepath.Join(dir, "etc", name), 0o755))
	}
	script := fmt.Sprintf("mount -t overlay overlay -o lowerdir=/etc,upperdir=%[1]s/etc/upper,workdir=%[1]s/etc/work /etc; %[2]s\necho ready; exec cat", dir, prepare)
	holder := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-ec", script)
	stdin, err := holder.StdinPipe() // its end is the holder's
	assert.NilError(t, err)
	stdout, err := holder.StdoutPipe()
	assert.NilError(t, err)
	holder.Stderr = os.Stderr
	assert.NilError(t, holder.Start())
	t.Cleanup(func() {
		stdin.Close()
		assert.NilError(t, holder.Wait())
		assert.NilError(t, os.RemoveAll(dir))
	})
	_, err = stdout.Read(make([]byte, 10))
	assert.NilError(t, err)
	return dir, []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.Process.Pid), "--"}
}

// hostIDs gives what container ids begin with on the host.
func (e *engine) hostIDs(container string) (uid int) {
	e.t.Helper()
	words := strings.Fields(e.must("exec", container, "cat", "/proc/self/uid_map"))
	assert.Equal(e.t, len(words), 3, words)
	uid, err := strconv.Atoi(words[1])
	assert.NilError(e.t, err)
	assert.Assert(e.t, uid >= 1000, "the container's root is %d", uid)
	return uid
}

// A container has ids of its own, and the image's files belong to them; the same
// layers serve a container with the host's ids. dockerd 20.10 shows such a one
// an image that belongs to the remapped users.
func TestRemappedContainersShareLayersWithOthers(t *testing.T) {
	e := startRemapped(t, "")
	e.must("run", "-d", "--name", "mapped", "busybox", "sleep", "1000")
	e.must("run", "-d", "--name", "plain", "--userns", "host", "busybox", "sleep", "1000")
	base := e.hostIDs("mapped")
	for _, name := range []string{"mapped", "plain"} {
		assert.Equal(t, e.must("exec", name, "stat", "-c", "%u:%g %n", "/bin/busybox", "/home/alice", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/"),
			"0:0 /bin/busybox\n1000:1000 /home/alice\n0:0 /etc/hosts\n0:0 /etc/hostname\n0:0 /etc/resolv.conf\n0:0 /", name)
	}
	owner := func(name string) int {
		var st syscall.Stat_t
		assert.NilError(t, syscall.Stat("/proc/"+e.must("inspect", "-f", "{{.State.Pid}}", name), &st))
		return int(st.Uid)
	}
	assert.Equal(t, owner("mapped"), base)
	assert.Equal(t, owner("plain"), 0)
	// One image layer, one init layer, two containers.
	layers, err := filepath.Glob(filepath.Join(e.DataRoot, "overlay2", "*", "layer.json"))
	assert.NilError(t, err)
	assert.Equal(t, len(layers), 4, layers)
	assert.Assert(t, strings.Contains(e.must("info", "-f", "{{.SecurityOptions}}"), "name=userns"))
}

func TestRemapRefusesWhatBelongsToTheHost(t *testing.T) {
	e := startRemapped(t, "")
	for _, c := range []struct{ body, want string }{
		{`{"Image":"busybox","HostConfig":{"Privileged":true}}`, "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"},
		{`{"Image":"busybox","HostConfig":{"NetworkMode":"host"}}`, "cannot share the host's network namespace when user namespaces are enabled"},
		{`{"Image":"busybox","HostConfig":{"PidMode":"host"}}`, "cannot share the host PID namespace when user namespaces are enabled"},
		{`{"Image":"busybox","HostConfig":{"UsernsMode":"container:x"}}`, "invalid userns mode: container:x"},
	} {
		code, body, _, err := e.Do("POST", "/containers/create", c.body)
		assert.NilError(t, err)
		assert.Equal(t, code, 400, c.body)
		assert.Assert(t, strings.Contains(body, c.want), body)
	}
	assert.Equal(t, e.must("ps", "-aq"), "")
	assert.Equal(t, e.must("run", "--rm", "--userns", "host", "--privileged", "--network", "host", "--pid", "host", "busybox", "cat", "/proc/self/uid_map"),
		"0          0 4294967295")
	// An id that the namespace lacks.
	res := e.any("run", "--rm", "-u", "70000", "busybox", "true")
	assert.Equal(t, res.Code, 125)
	assert.Assert(t, strings.Contains(res.Stderr, "cannot set uid to unmapped user in user namespace"), res)
	assert.Equal(t, e.must("run", "--rm", "-u", "65535", "busybox", "id", "-u"), "65535")
	// Other ids than the one whose network it would share.
	e.must("run", "-d", "--name", "plain", "--userns", "host", "busybox", "sleep", "1000")
	res = e.any("run", "--rm", "--network", "container:plain", "busybox", "true")
	assert.Equal(t, res.Code, 125)
	assert.Assert(t, strings.Contains(res.Stderr, "it has other user ids than this one would have"), res)
}

// Whatever a process of a remapped container gets as its streams, its user can
// open again, in run and exec, with a terminal and without.
func TestRemappedStreamsCanBeOpenedAgain(t *testing.T) {
	e := startRemapped(t, "")
	e.must("run", "-d", "--name", "one", "busybox", "sleep", "1000")
	for _, user := range []string{"0", "1000", "65534"} {
		const script = "echo out >/dev/stdout; echo err >/dev/stderr; stat -L -c %u /dev/stdout"
		for _, how := range [][]string{{"run", "--rm", "-u", user, "busybox"}, {"exec", "-u", user, "one"}} {
			res := e.any(append(how, "sh", "-c", script)...)
			assert.Equal(t, res.Code, 0, res)
			assert.Equal(t, res.Stdout, "out\n"+user+"\n", how)
			assert.Equal(t, res.Stderr, "err\n", how)
		}
		for _, how := range [][]string{{"run", "--rm", "-t", "-u", user, "busybox"}, {"exec", "-t", "-u", user, "one"}} {
			res := e.any(append(how, "sh", "-c", "tty; stat -c %u:%g $(tty); echo again >/dev/tty")...)
			assert.Equal(t, res.Code, 0, res)
			assert.Equal(t, strings.ReplaceAll(res.Stdout, "\r", ""), "/dev/pts/0\n"+user+":5\nagain\n", how)
		}
	}
	for _, how := range [][]string{{"run", "--rm", "-i", "-u", "1000", "busybox", "cat"}, {"exec", "-i", "-u", "1000", "one", "cat", "/dev/stdin"}} {
		cmd := e.Command(e.cli, how...)
		cmd.Stdin = strings.NewReader("typed\n")
		res, err := cmd.Run(t.Context())
		assert.NilError(t, err)
		assert.Equal(t, res.Stdout, "typed\n", how)
	}
}

// What a remapped container writes has the image's ids on the disk: export,
// commit, diff and a container without a user namespace see them.
func TestRemappedLayersKeepTheImagesIDs(t *testing.T) {
	for _, driver := range []string{"overlay2", "vfs"} {
		t.Run(driver, func(t *testing.T) {
			e := startRemapped(t, "", "-s", driver)
			e.must("run", "-d", "--name", "one", "busybox", "sleep", "1000")
			e.must("exec", "one", "sh", "-c", "echo 1 >/root/mine && mkdir /data && chown 1000:100 /data && echo 22 >/data/f && chown 65535:7 /data/f && chmod 4755 /data/f && rm /bin/vi && chown 5 /home/alice")
			check := func(when string) {
				t.Helper()
				assert.Equal(t, e.must("diff", "one"), "C /bin\nD /bin/vi\nA /data\nA /data/f\nC /home\nC /home/alice\nC /root\nA /root/mine", when)
				archive := filepath.Join(t.TempDir(), "c.tar")
				e.must("export", "-o", archive, "one")
				out, err := exec.Command("tar", "--numeric-owner", "-tvf", archive).Output()
				assert.NilError(t, err)
				var lines []string
				for line := range strings.Lines(string(out)) {
					f := strings.Fields(line)
					if name := f[len(f)-1]; strings.HasPrefix(name, "data/") || strings.HasPrefix(name, "home/alice/") || name == "root/mine" {
						lines = append(lines, f[0]+" "+f[1]+" "+name)
					}
				}
				assert.DeepEqual(t, lines, []string{"drwxr-xr-x 1000/100 data/", "-rwsr-xr-x 65535/7 data/f", "drwxr-xr-x 5/1000 home/alice/", "-rw-r--r-- 0/0 root/mine"})
			}
			check("while it runs")
			assert.Assert(t, strings.HasPrefix(e.must("ps", "-a", "-s", "--format", "{{.Size}}"), "5B "))
			e.must("commit", "one", "made")
			for _, userns := range [][]string{nil, {"--userns", "host"}} {
				assert.Equal(t, e.must(append(append([]string{"run", "--rm"}, userns...), "made", "stat", "-c", "%u:%g %a", "/data", "/data/f", "/root/mine")...),
					"1000:100 755\n65535:7 4755\n0:0 644", userns)
			}
			e.must("stop", "-t", "0", "one")
			check("after its end")
			e.must("start", "one")
			assert.Equal(t, e.must("exec", "one", "stat", "-c", "%u:%g", "/data/f"), "65535:7")
		})
	}
}

func TestRemappedContainersHaveWorkingFileSystems(t *testing.T) {
	e := startRemapped(t, "")
	run := func(args ...string) string { t.Helper(); return e.must(append([]string{"run", "--rm"}, args...)...) }

	assert.Equal(t, run("--read-only", "--tmpfs", "/x", "busybox", "sh", "-c", "touch /x/a /dev/shm/b; stat -c %u:%g:%a /x /x/a /dev/shm /dev/shm/b; touch /a 2>&1; true"),
		"0:0:1777\n0:0:644\n0:0:1777\n0:0:644\ntouch: /a: Read-only file system")
	assert.Equal(t, run("-u", "1000", "-w", "/new/folder", "busybox", "sh", "-c", "pwd; stat -c %u:%g /new /new/folder"), "/new/folder\n0:0\n0:0")
	assert.Equal(t, run("--sysctl", "net.ipv4.ip_forward=1", "busybox", "sh", "-c", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start"),
		"1\n0\t65535\n0")
	assert.Equal(t, run("busybox", "sh", "-c", "for d in null zero full random urandom tty ptmx; do test -c /dev/$d && echo $d; done | wc -l; head -c 3 /dev/zero | wc -c; echo x >/dev/null"), "7\n3")
	assert.Equal(t, run("--device", "/dev/null:/dev/other", "busybox", "sh", "-c", "test -c /dev/other && echo x >/dev/other && wc -c </dev/other"), "0")
	assert.Equal(t, run("--uts", "host", "--ipc", "host", "busybox", "sh", "-c", "test -d /dev/shm && hostname"), e.must("info", "-f", "{{.Name}}"))
	assert.Equal(t, run("--cap-add", "SYS_ADMIN", "busybox", "sh", "-c", "mount -t tmpfs x /home && grep -c ' /home tmpfs' /proc/mounts; hostname x && hostname"), "1\nx")
	assert.Equal(t, run("--cap-add", "ALL", "busybox", "sh", "-c", "mknod /x c 1 3 2>&1; true"), "mknod: /x: Operation not permitted")
	assert.Equal(t, run("--memory", "64m", "--cpus", "1", "--pids-limit", "20", "busybox", "echo", "limited"), "limited")

	// Binds are the host's, as with docker; a folder that has to be made is the container's.
	mine := filepath.Join(e.Dir, "mine")
	assert.NilError(t, os.Mkdir(mine, 0o755))
	assert.Equal(t, run("-v", mine+":/b", "busybox", "sh", "-c", "stat -c %u /b; touch /b/x 2>&1; true"), "65534\ntouch: /b/x: Permission denied")
	fresh := filepath.Join(e.Dir, "fresh", "er")
	assert.Equal(t, run("-v", fresh+":/b", "busybox", "sh", "-c", "touch /b/x; stat -c %u /b /b/x"), "0\n0")

	// A VOLUME is the container's own and has its ids.
	layer := harness.Tar(harness.Dir("data"), harness.File("data/f", "x"))
	archive := harness.ImageArchive("volume:latest", [][]byte{busyboxLayer(t), layer}, func(p *harness.ImageParts) {
		p.ConfigBody["config"] = map[string]any{"Cmd": []string{"sh"}, "Volumes": map[string]any{"/data": map[string]any{}}}
	})
	code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(archive)))
	assert.NilError(t, err)
	assert.Equal(t, code, 200, text)
	const volume = "stat -c %u /data /data/f; touch /data/g && chown 1000 /data/g && stat -c %u /data/g"
	assert.Equal(t, run("volume", "sh", "-c", volume), "0\n0\n1000")
	assert.Equal(t, run("--userns", "host", "volume", "sh", "-c", volume), "0\n0\n1000")

	// Namespaces of others come with their user namespace.
	e.must("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sh", "-c", "echo shared >/dev/shm/f; exec sleep 1000")
	for _, mode := range []string{"--ipc", "--pid", "--network"} {
		out := run(mode, "container:donor", "busybox", "sh", "-c", "readlink /proc/self/ns/user; stat -c %u /dev/shm")
		assert.Equal(t, out, e.must("exec", "donor", "readlink", "/proc/self/ns/user")+"\n0", mode)
	}
	assert.Equal(t, run("--ipc", "container:donor", "busybox", "cat", "/dev/shm/f"), "shared")
	assert.Equal(t, run("--userns", "host", "--pid", "container:donor", "busybox", "sh", "-c", "cat /proc/1/comm"), "sleep")
	if _, err := exec.LookPath("runc"); err == nil {
		assert.Equal(t, run("--runtime", "oci", "busybox", "stat", "-c", "%u:%g", "/home/alice"), "1000:1000")
	}
}

// busyboxLayer is the root of the busybox image as one tar.
func busyboxLayer(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(rootfs)
	assert.NilError(t, err)
	return b
}

// CVE-2021-21284: the remapped root could write what belongs to the daemon. Here it
// cannot even look at it: the layers' files have real owners on the disk, so a
// setuid program of a container's would be the host's root there.
func TestTheRemappedRootIsKeptOutOfTheDataRoot(t *testing.T) {
	e := startRemapped(t, "")
	e.must("run", "-d", "--name", "one", "busybox", "sh", "-c", "cp /bin/busybox /root/su; chmod 4755 /root/su; exec sleep 1000")
	base := e.hostIDs("one")
	for _, gid := range []int{base, 0xfffe} {
		as := func(args ...string) (string, error) {
			cmd := exec.Command("setpriv", append([]string{"--reuid", strconv.Itoa(base), "--regid", strconv.Itoa(gid), "--clear-groups", "--"}, args...)...)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		for _, dir := range []string{e.DataRoot, filepath.Join(e.DataRoot, "overlay2"), filepath.Join(e.DataRoot, "containers"),
			filepath.Join(e.ExecRoot, "containers"), filepath.Join(e.ExecRoot, "native")} {
			if _, err := os.Stat(dir); os.IsNotExist(err) {
				continue
			}
			out, err := as("ls", dir)
			assert.Assert(t, err != nil, "uid %d gid %d can list %s: %s", base, gid, dir, out)
		}
		for _, dir := range []string{e.DataRoot, e.ExecRoot, filepath.Join(e.ExecRoot, "roots")} {
			out, err := as("touch", filepath.Join(dir, "x"))
			assert.Assert(t, err != nil, "uid %d gid %d can write to %s: %s", base, gid, dir, out)
		}
		upper := e.must("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "one")
		var st syscall.Stat_t
		assert.NilError(t, syscall.Stat(filepath.Join(upper, "root/su"), &st))
		assert.Equal(t, st.Mode&0o7777, uint32(0o4755))
		assert.Equal(t, st.Uid, uint32(0), "it is real on the disk")
		// By a shell: setpriv itself has capabilities until it has become another program.
		out, err := as("sh", "-c", filepath.Join(upper, "root/su")+" root -c id")
		assert.Assert(t, err != nil && strings.Contains(out, "Permission denied"), "uid %d gid %d runs a setuid program of the container on the host: %s", base, gid, out)
	}
	// And nothing of the daemon's can be written by group or others, wherever it lies.
	out, err := exec.Command("find", e.DataRoot, e.ExecRoot, "-path", e.DataRoot+"/overlay2/*", "-prune", "-o", "-type", "p", "-o", "-type", "l", "-o", "-perm", "/022", "-print").CombinedOutput()
	assert.NilError(t, err, string(out))
	assert.Equal(t, string(out), "")
}

func TestRemappedContainersOutliveTheDaemon(t *testing.T) {
	e := startRemapped(t, "")
	e.must("run", "-d", "--name", "one", "busybox", "sh", "-c", "echo before >/f; exec sleep 1000")
	e.must("run", "-d", "--name", "stopped", "busybox", "sh", "-c", "echo $((1 + 1)); trap 'exit 3' TERM; while :; do sleep 0.1; done")
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "one")
	e.Kill()
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Pid}}", "one"), pid)
	assert.Equal(t, e.must("exec", "-u", "1000", "one", "sh", "-c", "cat /f >/dev/stdout"), "before")
	e.must("exec", "one", "sh", "-c", "echo after >>/f")
	assert.Equal(t, e.must("diff", "one"), "A /f")
	e.must("stop", "stopped")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.ExitCode}}", "stopped"), "3")
	e.must("restart", "-t", "0", "one")
	e.must("rm", "-f", "one", "stopped")
	left, err := os.ReadDir(filepath.Join(e.ExecRoot, "roots"))
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0, left)
}

// The account and its ids are made once, and what is there is never changed.
func TestRemapDefaultMakesItsAccountOnce(t *testing.T) {
	dir, wrap := privateEtc(t, "sed -i /^dockremap/d /etc/passwd /etc/group /etc/shadow /etc/gshadow; echo bob:100000:65536 >/etc/subuid; rm -f /etc/subgid")
	e := loaded(t, harness.Options{Dir: dir, Wrap: wrap, Flags: []string{"--userns-remap=default"}})
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, "etc", "upper", name))
		assert.NilError(t, err)
		return string(b)
	}
	assert.Equal(t, read("subuid"), "bob:100000:65536\ndockremap:165536:65536\n")
	assert.Equal(t, read("subgid"), "dockremap:100000:65536\n")
	assert.Assert(t, strings.Contains(read("passwd"), "\ndockremap:x:"))
	assert.Assert(t, strings.Contains(e.Log(), "made the user dockremap"), "it is told")
	assert.Equal(t, strings.Join(strings.Fields(e.must("run", "--rm", "busybox", "cat", "/proc/self/uid_map", "/proc/self/gid_map")), " "), "0 165536 65536 0 100000 65536")
	assert.Equal(t, e.must("run", "--rm", "busybox", "stat", "-c", "%u:%g", "/home/alice"), "1000:1000")

	before := read("passwd") + read("subuid") + read("subgid")
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	assert.Equal(t, read("passwd")+read("subuid")+read("subgid"), before)
}

func TestRemapOfNobodyStopsTheBoot(t *testing.T) {
	for _, c := range []struct{ value, prepare, want string }{
		{"no-such-user", "", `userns-remap: there is no user "no-such-user" on this host`},
		{"daemon", "sed -i /^daemon/d /etc/subuid", "has no ids for"},
		{"daemon:no-such-group", "", `userns-remap: there is no group "no-such-group" on this host`},
		{"a:b:c", "", "is none of default, USER, USER:GROUP, UID, UID:GID"},
		{"daemon", "echo daemon:nonsense >>/etc/subuid", "not NAME:FIRST:COUNT"},
	} {
		dir, wrap := privateEtc(t, "touch /etc/subuid /etc/subgid;"+c.prepare)
		_, err := harness.StartEngine(harness.Options{Dir: dir, Wrap: wrap, Flags: []string{"--userns-remap", c.value}})
		assert.ErrorContains(t, err, c.want, c.value)
	}
	// Numbers, and a group of its own.
	dir, wrap := privateEtc(t, "printf 'daemon:300000:65536\\n' >/etc/subuid; printf 'games:400000:65536\\n' >/etc/subgid")
	e := loaded(t, harness.Options{Dir: dir, Wrap: wrap, Flags: []string{"--userns-remap=1:games"}})
	assert.Equal(t, strings.Join(strings.Fields(e.must("run", "--rm", "busybox", "cat", "/proc/self/uid_map", "/proc/self/gid_map")), " "), "0 300000 65536 0 400000 65536")
}
