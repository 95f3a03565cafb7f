//go:build system

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func statusOf(t *testing.T, pid, field string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/status")
	assert.NilError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the status of %s", field, pid)
	return ""
}

func TestTheInitReapsAndWeighsNothing(t *testing.T) {
	e := startLoaded(t)
	for _, mode := range [][]string{{"--pid="}, {"--pid=host"}} {
		e.must(append(append([]string{"run", "-d", "--init", "--name", "web"}, mode...), "busybox",
			"sh", "-c", "for i in $(seq 50); do (sleep 0.2 &); done; (exec sleep 1000 &); exec sleep 1000")...)
		pid := e.must("inspect", "-f", "{{.State.Pid}}", "web")
		eventually(t, "the init runs", func() bool { return statusOf(t, pid, "Name") == "docker-init" })
		eventually(t, "orphans are reaped", func() bool {
			out := e.must("top", "web", "-o", "pid,stat,comm")
			return !strings.Contains(out, "Z") && strings.Count(out, "\n") == 3
		})
		fds, err := os.ReadDir("/proc/" + pid + "/fd")
		assert.NilError(t, err)
		assert.Equal(t, len(fds), 3, "%v", fds)
		kb := strings.TrimSuffix(statusOf(t, pid, "VmRSS"), " kB")
		t.Logf("%v: the init has %s kB", mode, kb)
		n, err := strconv.Atoi(kb)
		assert.NilError(t, err)
		assert.Assert(t, n < 100)
		e.must("stop", "web")
		assert.Equal(t, e.stateOf("web"), "exited 143")
		e.must("rm", "web")
	}
}

func TestContainersWithAnInitOutliveTheDaemon(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--init", "--name", "web", "busybox", "sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
	eventually(t, "it runs", func() bool { return e.must("logs", "web") == "ready" })
	e.Kill()
	// What the daemon had written may be torn or taken away meanwhile; who runs has it open.
	files, err := filepath.Glob(e.DataRoot + "/init/docker-init-*")
	assert.NilError(t, err)
	assert.Equal(t, len(files), 1, "%v", files)
	assert.NilError(t, os.Remove(files[0]))
	assert.NilError(t, os.WriteFile(files[0], []byte("torn"), 0o555))
	assert.NilError(t, e.Start())
	e.must("stop", "web")
	assert.Equal(t, e.stateOf("web"), "exited 7")
	assert.Equal(t, e.must("run", "--rm", "--init", "busybox", "cat", "/proc/1/comm"), "docker-init")
}

func TestTheInitCannotBeWrittenFromInside(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "--rm", "--init", "busybox", "true")
	files, err := filepath.Glob(e.DataRoot + "/init/docker-init-*")
	assert.NilError(t, err)
	assert.Equal(t, len(files), 1)
	before := digestOf(t, files[0])
	for _, flags := range [][]string{nil, {"--cap-add", "ALL"}, {"--pid", "host"}} {
		args := append(append([]string{"run", "--rm", "--init"}, flags...), "busybox", "sh", "-c",
			`for f in /sbin/docker-init /proc/1/exe /proc/$PPID/exe; do echo x >>$f && echo WROTE $f; chmod 777 $f && echo CHANGED $f; done; rm /sbin/docker-init && echo REMOVED; mv /sbin/docker-init /x && echo MOVED`)
		res := e.any(args...)
		for _, bad := range []string{"WROTE /sbin", "WROTE /proc/1/", "CHANGED /sbin", "REMOVED", "MOVED"} {
			if strings.Contains(strings.Join(flags, " "), "host") && bad == "WROTE /proc/1/" {
				continue
			}
			assert.Assert(t, !strings.Contains(res.Stdout, bad), res.Stdout)
		}
		assert.Equal(t, digestOf(t, files[0]), before)
	}
	info, err := os.Stat(files[0])
	assert.NilError(t, err)
	assert.Equal(t, info.Mode(), os.FileMode(0o555))
}

// What the daemon's configuration says holds for containers that say nothing.
func TestTheDaemonsDefaultsOfIsolation(t *testing.T) {
	profile := t.TempDir() + "/profile.json"
	assert.NilError(t, os.WriteFile(profile, []byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`), 0o644))
	e := startLoaded(t, "--init", "--no-new-privileges", "--seccomp-profile", profile, "--default-ipc-mode", "shareable", "--default-cgroupns-mode", "private")
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	assert.Equal(t, e.must("inspect", "-f", "{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}} {{json .HostConfig.Init}}", "web"), "shareable private null")
	for _, in := range [][]string{{"exec", "web"}, {"run", "--rm", "busybox"}} {
		out := e.any(append(in, "sh", "-c", "cat /proc/1/comm; grep NoNewPrivs /proc/self/status; mkdir /tmp/x || echo refused; cut -d: -f3 /proc/self/cgroup | sort -u")...).Stdout
		assert.Equal(t, out, "docker-init\nNoNewPrivs:\t1\nrefused\n/\n", "%v", in)
	}
	assert.Equal(t, e.must("run", "--rm", "--ipc", "container:web", "busybox", "echo", "joined"), "joined")
	out := e.must("run", "--rm", "--init=false", "--security-opt", "no-new-privileges=false", "--security-opt", "seccomp=builtin", "--cgroupns", "host", "--ipc", "private",
		"busybox", "sh", "-c", "cat /proc/1/comm; grep NoNewPrivs /proc/self/status; mkdir /tmp/x && echo made")
	assert.Equal(t, out, "sh\nNoNewPrivs:\t0\nmade")
}

func TestAnotherInitIsUsedIfNamed(t *testing.T) {
	own := t.TempDir() + "/own-init"
	e := startLoaded(t, "--init-path", own)
	res := e.any("run", "--rm", "--init", "busybox", "true")
	assert.Assert(t, res.Code != 0)
	assert.Assert(t, strings.Contains(res.Stderr, own), "it is named: %s", res)
	assert.Equal(t, e.must("run", "--rm", "busybox", "echo", "fine"), "fine")
	program, err := os.ReadFile("/bin/busybox") // static; it answers to its name
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(own, program, 0o755))
	res = e.any("run", "--rm", "--init", "busybox", "true")
	assert.Assert(t, strings.Contains(res.Stderr, "docker-init: applet not found"), "%s", res)
}

func TestBadDefaultsOfIsolationStopTheDaemon(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(dir+"/bad", []byte("{"), 0o644))
	e := start(t)
	for _, c := range []struct{ flag, value, text string }{
		{"--seccomp-profile", dir + "/nosuch", fmt.Sprintf("opening seccomp profile (%s/nosuch) failed", dir)},
		{"--seccomp-profile", dir + "/bad", "Decoding seccomp profile failed: unexpected end of JSON input"},
		{"--default-ipc-mode", "host", `IPC mode "host" is not supported as default value; use "shareable" or "private"`},
		{"--default-ipc-mode", "bogus", `default IPC mode setting (bogus) is invalid; use "shareable" or "private"`},
		{"--default-cgroupns-mode", "bogus", `default cgroup namespace mode (bogus) is invalid; use "host" or "private"`},
		{"--selinux-enabled", "", "this engine sets no SELinux labels"},
	} {
		own := t.TempDir()
		args := []string{"-d", "-H", "unix://" + own + "/s.sock", "--data-root", own + "/data", "--exec-root", own + "/exec", "-p", own + "/pid", c.flag}
		if c.value != "" {
			args = append(args, c.value)
		}
		cmd := e.Command(e.cli)
		cmd.Args = args
		res, err := cmd.Run(t.Context())
		assert.NilError(t, err)
		assert.Assert(t, res.Code != 0 && strings.Contains(res.Stderr, c.text), "%s %s: %s", c.flag, c.value, res)
	}
}
