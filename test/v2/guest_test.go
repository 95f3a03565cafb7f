//go:build v2

package v2

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if _, err := os.Stat("/run/systemd/system"); err != nil || os.Getpid() == 1 || os.Getuid() != 0 {
		fmt.Println("v2: these tests are for the virtual machine of test/v2/run.sh")
		os.Exit(1)
	}
	archive := "/tmp/busybox.tar"
	if err := harness.BusyboxArchive(archive, "busybox:latest"); err != nil {
		fmt.Println("v2:", err)
		os.Exit(1)
	}
	for _, args := range [][]string{
		{"systemctl", "enable", "-q", "engine.socket", "engine.service"}, {"systemctl", "start", "engine.socket"},
		// Nobody has started the daemon: this connection does.
		{"engine", "load", "-q", "-i", archive},
	} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			fmt.Printf("v2: %q: %v\n%s\n", args, err, text)
			journal, _ := exec.Command("journalctl", "-u", "engine.service", "--no-pager").CombinedOutput()
			fmt.Printf("%s\n", journal)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// try runs a program to its end.
func try(args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(args[0], args[1:]...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil && cmd.ProcessState == nil {
		return "", e.Error(), -1
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(err.String()), cmd.ProcessState.ExitCode()
}

// must runs a program that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err, code := try(args...)
	if code != 0 {
		t.Fatalf("%q: exit code %d\n%s\n%s", args, code, out, err)
	}
	return out
}

func engine(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, append([]string{"engine"}, args...)...)
}

func inspect(t *testing.T, name, format string) string {
	t.Helper()
	return engine(t, "inspect", "-f", format, name)
}

// eventually waits until it is so.
func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !isSo(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func unified() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// daemonWith restarts the daemon with further flags; containers run on.
func daemonWith(t *testing.T, flags ...string) {
	t.Helper()
	dir := "/etc/systemd/system/engine.service.d"
	assert.NilError(t, os.MkdirAll(dir, 0o755))
	text := "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\nExecStart=/usr/local/bin/engine -d -H fd:// " + strings.Join(flags, " ") + "\n"
	assert.NilError(t, os.WriteFile(dir+"/test.conf", []byte(text), 0o644))
	must(t, "systemctl", "daemon-reload")
	must(t, "systemctl", "restart", "engine.service")
}

// managers runs a test with each cgroup manager.
func managers(t *testing.T, f func(t *testing.T, manager string)) {
	for _, manager := range []string{"systemd", "cgroupfs"} {
		t.Run(manager, func(t *testing.T) {
			t.Cleanup(func() { clear(t) })
			daemonWith(t, "--exec-opt", "native.cgroupdriver="+manager)
			assert.Equal(t, engine(t, "info", "-f", "{{.CgroupDriver}}"), manager)
			f(t, manager)
		})
	}
}

func clear(t *testing.T) {
	if ids := strings.Fields(engine(t, "ps", "-aq")); len(ids) > 0 {
		engine(t, append([]string{"rm", "-f"}, ids...)...)
	}
}

// cgroup is the folder of a process's group, for a controller of cgroup v1.
func cgroup(t *testing.T, pid, controller string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	assert.NilError(t, err)
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if unified() && fields[0] == "0" {
			return "/sys/fs/cgroup" + fields[2]
		}
		if !unified() && slices.Contains(strings.Split(fields[1], ","), controller) {
			return "/sys/fs/cgroup/" + fields[1] + fields[2]
		}
	}
	t.Fatalf("no cgroup of %s in %s", controller, text)
	return ""
}

// value reads a file of a group: its name on cgroup v2, and on v1 with the controller.
func value(t *testing.T, pid, v2, v1 string) string {
	t.Helper()
	controller, _, _ := strings.Cut(v1, ".")
	name := v1
	if unified() {
		name = v2
	}
	text, err := os.ReadFile(filepath.Join(cgroup(t, pid, controller), name))
	assert.NilError(t, err)
	return strings.TrimSpace(string(text))
}

func scope(id string) string { return "engine-" + id + ".scope" }

func unit(t *testing.T, name, property string) string {
	t.Helper()
	return must(t, "systemctl", "show", "-P", property, name)
}

func mainPid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(unit(t, "engine.service", "MainPID"))
	assert.NilError(t, err)
	return pid
}

func supervisors() []string {
	out, _, _ := try("pgrep", "-x", "engine-supervis")
	return strings.Fields(out)
}

func TestTheDaemonRunsAsAUnitAndTakesSystemdWhereItShould(t *testing.T) {
	assert.Equal(t, unit(t, "engine.service", "ActiveState"), "active")
	assert.Equal(t, unit(t, "engine.service", "Type"), "notify")
	want := "overlay2 cgroupfs 1"
	if unified() {
		want = "overlay2 systemd 2"
	}
	assert.Equal(t, engine(t, "info", "-f", "{{.Driver}} {{.CgroupDriver}} {{.CgroupVersion}}"), want)
	out, warnings, _ := try("engine", "info")
	assert.Check(t, strings.Contains(out, "apparmor") && !strings.Contains(warnings, "AppArmor"), "%s%s", out, warnings)
	if unified() {
		assert.Check(t, strings.Contains(out, "cgroupns"))
		id := engine(t, "run", "-d", "busybox", "sleep", "1000")
		assert.Equal(t, unit(t, scope(id), "Slice"), "engine.slice")
		assert.Equal(t, engine(t, "exec", id, "cat", "/proc/1/cgroup"), "0::/", "the cgroup namespace is the container's own")
		clear(t)
	}
}

func TestLimitsHoldWithBothManagers(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		id := engine(t, "run", "-d", "-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--pids-limit", "40", "--cpuset-cpus", "0", "busybox", "sleep", "1000")
		pid := inspect(t, id, "{{.State.Pid}}")
		assert.Equal(t, value(t, pid, "memory.max", "memory.limit_in_bytes"), "67108864")
		assert.Equal(t, value(t, pid, "memory.low", "memory.soft_limit_in_bytes"), "33554432")
		assert.Equal(t, value(t, pid, "pids.max", "pids.max"), "40")
		assert.Equal(t, value(t, pid, "cpuset.cpus", "cpuset.cpus"), "0")
		if unified() {
			assert.Equal(t, value(t, pid, "cpu.max", ""), "50000 100000")
		} else {
			assert.Equal(t, value(t, pid, "", "cpu.cfs_quota_us"), "50000")
		}
		group := cgroup(t, pid, "memory")
		if manager == "systemd" {
			assert.Check(t, strings.HasSuffix(group, "/engine.slice/"+scope(id)), group)
			assert.Equal(t, unit(t, scope(id), "ActiveState"), "active")
			assert.Equal(t, unit(t, scope(id), "Slice"), "engine.slice")
			assert.Equal(t, unit(t, scope(id), "TasksMax"), "40")
			assert.Equal(t, unit(t, scope(id), "CPUQuotaPerSecUSec"), "500ms")
			limit := "MemoryLimit"
			if unified() {
				limit = "MemoryMax"
			}
			assert.Equal(t, unit(t, scope(id), limit), "67108864")
		} else {
			assert.Check(t, strings.HasSuffix(group, "/engine/"+id), group)
		}
		assert.Equal(t, engine(t, "exec", id, "echo", "in it"), "in it")
		assert.Check(t, strings.Contains(engine(t, "top", id), "sleep 1000"))

		engine(t, "rm", "-f", id)
		_, err := os.Stat(group)
		assert.Check(t, errors.Is(err, os.ErrNotExist), "%v", err)
		if manager == "systemd" {
			eventually(t, "the scope is forgotten", func() bool { return unit(t, scope(id), "LoadState") == "not-found" })
		}
	})
}

func TestAContainerWithoutMemoryIsKilledAndSaysSo(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		since := fmt.Sprint(time.Now().Unix() - 1)
		_, _, code := try("engine", "run", "--name", "oom", "-m", "32m", "busybox", "tail", "/dev/zero")
		assert.Equal(t, code, 137)
		assert.Equal(t, inspect(t, "oom", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137")
		events := engine(t, "events", "--since", since, "--until", fmt.Sprint(time.Now().Unix()+1), "--filter", "event=oom", "--format", "{{.Actor.Attributes.name}}")
		assert.Equal(t, events, "oom")
		// The daemon's unit is not concerned.
		assert.Equal(t, unit(t, "engine.service", "ActiveState"), "active")
	})
}

func TestForksAndProcessorTimeAreBounded(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		_, stderr, code := try("engine", "run", "--rm", "--pids-limit", "20", "busybox", "sh", "-c", "for i in $(seq 60); do sleep 3 & done; wait")
		assert.Check(t, code != 0 && strings.Contains(stderr, "can't fork"), "%d %s", code, stderr)
		id := engine(t, "run", "-d", "--cpus", "0.2", "busybox", "sh", "-c", "while :; do :; done")
		pid := inspect(t, id, "{{.State.Pid}}")
		eventually(t, "the loop is throttled", func() bool {
			for line := range strings.Lines(value(t, pid, "cpu.stat", "cpu.stat")) {
				if n, ok := strings.CutPrefix(strings.TrimSpace(line), "nr_throttled "); ok {
					return n != "0"
				}
			}
			return false
		})
	})
}

func TestPauseFreezesAndAPausedContainerDies(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		id := engine(t, "run", "-d", "busybox", "sh", "-c", "while :; do date >/tmp/now; usleep 20000; done")
		pid := inspect(t, id, "{{.State.Pid}}")
		engine(t, "pause", id)
		assert.Equal(t, inspect(t, id, "{{.State.Status}}"), "paused")
		if unified() {
			assert.Check(t, strings.Contains(value(t, pid, "cgroup.events", ""), "frozen 1"))
		} else {
			assert.Equal(t, value(t, pid, "", "freezer.state"), "FROZEN")
		}
		_, _, code := try("engine", "exec", id, "true")
		assert.Check(t, code != 0)
		engine(t, "unpause", id)
		assert.Equal(t, engine(t, "exec", id, "echo", "again"), "again")
		engine(t, "pause", id)
		engine(t, "kill", id)
		assert.Equal(t, engine(t, "wait", id), "137")
		engine(t, "start", id)
		engine(t, "pause", id)
		engine(t, "rm", "-f", id)
	})
}

func TestParentsAreSlicesWithSystemd(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		if manager == "cgroupfs" {
			id := engine(t, "run", "-d", "--cgroup-parent", "/engine/below", "busybox", "sleep", "1000")
			group := cgroup(t, inspect(t, id, "{{.State.Pid}}"), "memory")
			assert.Check(t, strings.HasSuffix(group, "/engine/below/"+id), group)
			clear(t)
			for _, dir := range append(groups("engine/below"), groups("engine")...) {
				_ = os.Remove(dir)
			}
			return
		}
		id := engine(t, "run", "-d", "--cgroup-parent", "mine-inner.slice", "busybox", "sleep", "1000")
		group := cgroup(t, inspect(t, id, "{{.State.Pid}}"), "memory")
		assert.Check(t, strings.HasSuffix(group, "/mine.slice/mine-inner.slice/"+scope(id)), group)
		for _, parent := range []string{"/mine", "mine", ".slice"} {
			_, stderr, code := try("engine", "run", "--rm", "--cgroup-parent", parent, "busybox", "true")
			assert.Check(t, code == 125 && strings.Contains(stderr, `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`), "%d %s", code, stderr)
		}
	})
}

func TestTheManagerMayChangeWhileContainersRun(t *testing.T) {
	t.Cleanup(func() { clear(t) })
	for _, change := range [][2]string{{"systemd", "cgroupfs"}, {"cgroupfs", "systemd"}} {
		daemonWith(t, "--exec-opt", "native.cgroupdriver="+change[0])
		id := engine(t, "run", "-d", "-m", "64m", "busybox", "sh", "-c", "trap 'exit 6' TERM; while :; do usleep 20000; done")
		pid := inspect(t, id, "{{.State.Pid}}")
		group := cgroup(t, pid, "memory")
		daemonWith(t, "--exec-opt", "native.cgroupdriver="+change[1])
		assert.Equal(t, inspect(t, id, "{{.State.Running}} {{.State.Pid}}"), "true "+pid)
		assert.Equal(t, cgroup(t, pid, "memory"), group)
		assert.Equal(t, engine(t, "exec", id, "echo", "still"), "still")
		engine(t, "pause", id)
		engine(t, "unpause", id)
		engine(t, "stop", id)
		assert.Equal(t, inspect(t, id, "{{.State.ExitCode}}"), "6")
		_, err := os.Stat(group)
		assert.Check(t, errors.Is(err, os.ErrNotExist), "%v", err)
		engine(t, "start", id)
		after := cgroup(t, inspect(t, id, "{{.State.Pid}}"), "memory")
		assert.Equal(t, strings.Contains(after, ".slice/"), change[1] == "systemd", after)
		engine(t, "rm", "-f", id)
	}
}

func TestAKilledDaemonIsStartedAgainAndFindsItsContainers(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		id := engine(t, "run", "-d", "busybox", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo hello; while :; do usleep 20000; done")
		pid, supervisor, before := inspect(t, id, "{{.State.Pid}}"), supervisors(), mainPid(t)
		assert.Equal(t, len(supervisor), 1)
		assert.NilError(t, syscall.Kill(before, syscall.SIGKILL))
		// The socket is systemd's: this waits for the next daemon.
		eventually(t, "systemd starts the daemon again", func() bool { return mainPid(t) != before && mainPid(t) != 0 })
		assert.Equal(t, inspect(t, id, "{{.State.Running}} {{.State.Pid}}"), "true "+pid)
		assert.DeepEqual(t, supervisors(), supervisor)
		assert.Equal(t, engine(t, "exec", id, "echo", "still"), "still")
		engine(t, "stop", id)
		assert.Equal(t, inspect(t, id, "{{.State.ExitCode}}"), "3")
		assert.Equal(t, engine(t, "logs", id), "hello\nbye")
	})
}

func TestAStoppedUnitLeavesContainersRunning(t *testing.T) {
	managers(t, func(t *testing.T, manager string) {
		engine(t, "run", "-d", "--name", "long", "busybox", "sleep", "1000")
		engine(t, "run", "-d", "--name", "short", "busybox", "sh", "-c", "until [ -e /tmp/go ]; do usleep 20000; done; exit 9")
		pid, ends := inspect(t, "long", "{{.State.Pid}}"), inspect(t, "short", "{{.State.Pid}}")
		must(t, "systemctl", "stop", "engine.service", "engine.socket")
		assert.Equal(t, unit(t, "engine.service", "ActiveState"), "inactive")
		_, err := os.Stat("/proc/" + pid)
		assert.NilError(t, err)
		assert.NilError(t, os.WriteFile("/proc/"+ends+"/root/tmp/go", nil, 0o600))
		eventually(t, "the short one ends", func() bool {
			_, err := os.Stat("/proc/" + ends)
			return errors.Is(err, os.ErrNotExist)
		})
		must(t, "systemctl", "start", "engine.socket", "engine.service")
		assert.Equal(t, inspect(t, "long", "{{.State.Running}} {{.State.Pid}}"), "true "+pid)
		assert.Equal(t, inspect(t, "short", "{{.State.Status}} {{.State.ExitCode}}"), "exited 9")
	})
}

func TestAKilledSupervisorOfAnOldKernel(t *testing.T) {
	known := 0
	const rounds = 10
	for range rounds {
		id := engine(t, "run", "-d", "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do usleep 20000; done")
		pid, before := inspect(t, id, "{{.State.Pid}}"), supervisors()
		must(t, append([]string{"kill", "-9"}, before...)...)
		eventually(t, "another supervisor is there", func() bool {
			now := supervisors()
			return len(now) == 1 && now[0] != before[0]
		})
		assert.Equal(t, inspect(t, id, "{{.State.Running}} {{.State.Pid}}"), "true "+pid)
		assert.Equal(t, engine(t, "exec", id, "echo", "still"), "still")
		engine(t, "stop", id)
		switch code := inspect(t, id, "{{.State.ExitCode}} {{.State.Error}}"); {
		case code == "5":
			known++
		case !strings.HasPrefix(code, "255 the exit code is unknown"):
			// Process 1 is the parent now, and before Linux 6.15 a process that was reaped tells nothing.
			t.Errorf("exit code and error: %s", code)
		}
		engine(t, "rm", "-f", id)
	}
	t.Logf("%d of %d exit codes are known after the supervisor was killed", known, rounds)
}

func TestOtherRuntimesRunContainers(t *testing.T) {
	for _, manager := range []string{"systemd", "cgroupfs"} {
		daemonWith(t, "--exec-opt", "native.cgroupdriver="+manager, "--add-runtime", "crun=/usr/bin/crun")
		for _, runtime := range []string{"oci", "crun"} {
			t.Run(runtime+" "+manager, func(t *testing.T) {
				t.Cleanup(func() { clear(t) })
				_, stderr, code := try("engine", "run", "--rm", "--runtime", runtime, "busybox", "echo", "hello")
				for _, reason := range []string{
					"cgroups in hybrid mode not supported",
					"cannot open sd-bus", // this guest has no D-Bus; libcontainer and runc ask systemd itself
				} {
					if runtime == "crun" && code != 0 && strings.Contains(stderr, reason) {
						t.Skip(stderr)
					}
				}
				assert.Equal(t, code, 0, stderr)
				id := engine(t, "run", "-d", "--runtime", runtime, "-m", "64m", "busybox", "sh", "-c", "trap 'exit 3' TERM; while :; do usleep 20000; done")
				pid := inspect(t, id, "{{.State.Pid}}")
				assert.Equal(t, value(t, pid, "memory.max", "memory.limit_in_bytes"), "67108864")
				assert.Equal(t, strings.Contains(cgroup(t, pid, "memory"), "engine.slice/"+scope(id)), manager == "systemd", cgroup(t, pid, "memory"))
				assert.Equal(t, engine(t, "exec", id, "echo", "in it"), "in it")
				_, _, code = try("engine", "exec", id, "sh", "-c", "exit 4")
				assert.Equal(t, code, 4)
				assert.Check(t, strings.Contains(engine(t, "top", id), "usleep") || strings.Contains(engine(t, "top", id), "trap"))
				engine(t, "pause", id)
				engine(t, "unpause", id)
				must(t, "systemctl", "kill", "-s", "KILL", "--kill-who=main", "engine.service")
				eventually(t, "the daemon is there again", func() bool { _, _, code := try("engine", "ps"); return code == 0 })
				engine(t, "stop", id)
				assert.Equal(t, inspect(t, id, "{{.State.ExitCode}}"), "3")
				for want, program := range map[int]string{127: "nope", 126: "/etc"} {
					// The code of the client depends on words, which are not crun's.
					_, stderr, _ := try("engine", "run", "--name", program[len(program)-3:], "--runtime", runtime, "busybox", program)
					assert.Equal(t, inspect(t, program[len(program)-3:], "{{.State.ExitCode}}"), fmt.Sprint(want), stderr)
				}
				_, _, code = try("engine", "run", "--name", "oom", "--runtime", runtime, "-m", "32m", "busybox", "tail", "/dev/zero")
				assert.Equal(t, code, 137)
				assert.Equal(t, inspect(t, "oom", "{{.State.OOMKilled}}"), "true")
			})
		}
	}
}

// groups finds a group by its path in all hierarchies.
func groups(path string) []string {
	all, _ := filepath.Glob("/sys/fs/cgroup/" + path)
	more, _ := filepath.Glob("/sys/fs/cgroup/*/" + path)
	return append(all, more...)
}

// This is the last one: it stops everything.
func TestNothingIsLeftOfAll(t *testing.T) {
	daemonWith(t) // once more with the default manager
	clear(t)
	for range 20 {
		engine(t, "run", "--rm", "busybox", "true")
	}
	must(t, "systemctl", "stop", "engine.service", "engine.socket")
	eventually(t, "the supervisor ends", func() bool { return len(supervisors()) == 0 })
	out, _, _ := try("systemctl", "list-units", "--all", "--plain", "--no-legend", "engine-*.scope", "crun-*.scope", "runc-*.scope")
	assert.Equal(t, out, "")
	below, err := filepath.Glob("/sys/fs/cgroup/engine.slice/*.scope")
	assert.NilError(t, err)
	assert.Equal(t, len(below), 0, "%v", below)
	assert.Equal(t, len(groups("engine")), 0, "%v", groups("engine"))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	assert.NilError(t, err)
	assert.Check(t, !strings.Contains(string(mounts), "/engine/"), "%s", mounts)
	err = filepath.WalkDir("/run/engine", func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !slices.Contains([]string{"supervisor.log", "supervisor.start", "supervisor.lock"}, e.Name()) {
			t.Errorf("%s is left", path)
		}
		return err
	})
	assert.NilError(t, err)
	assert.Equal(t, unit(t, "engine.service", "Result"), "success")
	journal := must(t, "journalctl", "-u", "engine.service", "--no-pager", "-o", "cat")
	for line := range strings.Lines(journal) {
		if strings.Contains(line, "level=error") || strings.Contains(line, "panic") {
			t.Errorf("the journal has: %s", line)
		}
	}
}
