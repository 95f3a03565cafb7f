package native_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runc/libcontainer/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/internal/rlimit"
)

// running is a container that runs `sleep`, and the driver that holds it.
func running(t *testing.T, change func(*specs.Spec)) (execdriver.Driver, execdriver.Process) {
	t.Helper()
	spec := exectest.Spec(exectest.RootFS(t), "sleep", "1000")
	if change != nil {
		change(spec)
	}
	return runningSpec(t, spec)
}

func runningSpec(t *testing.T, spec *specs.Spec) (execdriver.Driver, execdriver.Process) {
	t.Helper()
	d, ctx := open(t, t.TempDir()), context.Background()
	p, err := d.Create(ctx, "c", exectest.WriteBundle(t, t.TempDir(), spec), execdriver.Stdio{})
	assert.NilError(t, err)
	t.Cleanup(func() {
		assert.NilError(t, d.Delete(ctx, "c"))
		pidfd.Reap(p.PidFD)
		p.PidFD.Close()
	})
	assert.NilError(t, d.Start(ctx, "c"))
	awaitProgram(t, p.Pid, "sleep")
	return d, p
}

// awaitProgram waits until the process has become the user's program.
func awaitProgram(t *testing.T, pid int, name string) {
	t.Helper()
	for range 5000 {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.HasPrefix(string(cmdline), name) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d does not become %s", pid, name)
}

func alsoExec(t *testing.T, d execdriver.Driver) execdriver.Process {
	t.Helper()
	spec := exectest.Spec("/", "sleep", "2000")
	x, err := d.Exec(context.Background(), "c", spec.Process, execdriver.Stdio{})
	assert.NilError(t, err)
	t.Cleanup(func() {
		_ = pidfd.Signal(x.PidFD, unix.SIGKILL)
		_, _ = pidfd.Await(x.PidFD, pidfd.Process{Pid: x.Pid})
		pidfd.Reap(x.PidFD)
		x.PidFD.Close()
	})
	awaitProgram(t, x.Pid, "sleep")
	return x
}

func status(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	assert.NilError(t, err)
	for _, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return ""
}

func TestNoDescriptorOfTheHostIsOpen(t *testing.T) {
	leak, err := os.Open("/") // not close-on-exec, as a careless library would leave it
	assert.NilError(t, err)
	defer leak.Close()
	_, err = unix.FcntlInt(leak.Fd(), unix.F_SETFD, 0)
	assert.NilError(t, err)
	d, p := running(t, nil)
	x := alsoExec(t, d)
	for _, pid := range []int{p.Pid, x.Pid} {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		assert.NilError(t, err)
		var fds []string
		for _, e := range entries {
			fds = append(fds, e.Name())
		}
		assert.DeepEqual(t, fds, []string{"0", "1", "2"})
		cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
		assert.NilError(t, err)
		root, err := os.Stat(fmt.Sprintf("/proc/%d/root", pid))
		assert.NilError(t, err)
		assert.Assert(t, os.SameFile(cwd, root))
	}
}

func TestCapabilitiesAreTheSpecs(t *testing.T) {
	d, p := running(t, nil)
	x := alsoExec(t, d)
	for _, pid := range []int{p.Pid, x.Pid} {
		const fourteen = "00000000a80425fb"
		assert.Equal(t, status(t, pid, "CapEff"), fourteen)
		assert.Equal(t, status(t, pid, "CapPrm"), fourteen)
		assert.Equal(t, status(t, pid, "CapBnd"), fourteen)
		const none = "0000000000000000"
		assert.Equal(t, status(t, pid, "CapInh"), none)
		assert.Equal(t, status(t, pid, "CapAmb"), none)
		assert.Equal(t, status(t, pid, "SigBlk"), none)
		// What this process ignores is inherited (make has it ignore two); the driver adds nothing.
		assert.Equal(t, mask(t, pid, "SigIgn")&^mask(t, os.Getpid(), "SigIgn"), uint64(0))
	}
}

func mask(t *testing.T, pid int, field string) uint64 {
	n, err := strconv.ParseUint(status(t, pid, field), 16, 64)
	assert.NilError(t, err)
	return n
}

func TestExecWithoutCapabilitiesHasNone(t *testing.T) {
	d, _ := running(t, nil)
	p := exectest.Spec("/", "sleep", "2000").Process
	p.Capabilities = nil
	x, err := d.Exec(context.Background(), "c", p, execdriver.Stdio{})
	assert.NilError(t, err)
	defer x.PidFD.Close()
	awaitProgram(t, x.Pid, "sleep")
	assert.Equal(t, status(t, x.Pid, "CapEff"), "0000000000000000")
	_ = pidfd.Signal(x.PidFD, unix.SIGKILL)
	_, err = pidfd.Await(x.PidFD, pidfd.Process{Pid: x.Pid})
	assert.NilError(t, err)
	pidfd.Reap(x.PidFD)
}

func TestSeccompIsLoadedInBoth(t *testing.T) {
	if !seccomp.Enabled {
		t.Skip("built without the tag seccomp")
	}
	d, p := running(t, func(s *specs.Spec) {
		errno := uint(unix.EPERM)
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"keyctl"}, Action: specs.ActErrno, ErrnoRet: &errno}},
		}
	})
	x := alsoExec(t, d)
	for _, pid := range []int{p.Pid, x.Pid} {
		assert.Equal(t, status(t, pid, "Seccomp"), "2")
	}
}

func TestLimitsBeyondOursAreCapped(t *testing.T) {
	if rlimit.CanRaise() {
		t.Skip("with CAP_SYS_RESOURCE there is none beyond ours, but for fs.nr_open, which the kernel refuses")
	}
	low := -1000
	_, p := running(t, func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 1 << 30},
			{Type: "RLIMIT_NPROC", Soft: 1 << 40, Hard: 1 << 40},
		}
		s.Process.OOMScoreAdj = &low
	})
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.Pid))
	assert.NilError(t, err)
	for _, line := range strings.Split(string(limits), "\n") {
		if strings.HasPrefix(line, "Max open files") {
			assert.Equal(t, strings.Fields(line)[3], "1024")
		}
	}
}

func TestUnknownLimitIsRefused(t *testing.T) {
	spec := exectest.Spec(exectest.RootFS(t), "true")
	spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_FUN"}}
	d := open(t, t.TempDir())
	_, err := d.Create(context.Background(), "c", exectest.WriteBundle(t, t.TempDir(), spec), execdriver.Stdio{})
	assert.ErrorContains(t, err, "RLIMIT_FUN")
	ids, err := d.List(context.Background())
	assert.NilError(t, err)
	assert.Equal(t, len(ids), 0)
}

func TestOutOfMemoryIsTold(t *testing.T) {
	limit := int64(24 << 20)
	spec := exectest.Spec(exectest.RootFS(t), exectest.Script("exec tail /dev/zero")...)
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	d, ctx := open(t, t.TempDir()), context.Background()
	p, err := d.Create(ctx, "c", exectest.WriteBundle(t, t.TempDir(), spec), execdriver.Stdio{})
	assert.NilError(t, err)
	defer p.PidFD.Close()
	assert.NilError(t, d.Start(ctx, "c"))
	code, err := pidfd.Await(p.PidFD, pidfd.Process{Pid: p.Pid})
	assert.NilError(t, err)
	assert.Equal(t, code, 137)
	killed, err := d.(execdriver.OOMTeller).OOMKilled(ctx, "c")
	assert.NilError(t, err)
	assert.Assert(t, killed)
	pidfd.Reap(p.PidFD)
	assert.NilError(t, d.Delete(ctx, "c"))
}

func TestHooksRunAndLearnTheBundle(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	bundle := t.TempDir()
	spec := exectest.Spec(exectest.RootFS(t), "true")
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", `grep -o '"bundle":"[^"]*"' | sed "s|^|` + name + ` |" >> ` + log}, Env: []string{"PATH=/usr/bin:/bin"}}}
	}
	spec.Hooks = &specs.Hooks{CreateRuntime: hook("create"), Poststop: hook("stop")}
	d, ctx := open(t, t.TempDir()), context.Background()
	p, err := d.Create(ctx, "c", exectest.WriteBundle(t, bundle, spec), execdriver.Stdio{})
	assert.NilError(t, err)
	assert.NilError(t, d.Delete(ctx, "c"))
	pidfd.Reap(p.PidFD)
	p.PidFD.Close()
	got, err := os.ReadFile(log)
	assert.NilError(t, err)
	assert.Equal(t, string(got), fmt.Sprintf("create \"bundle\":%q\nstop \"bundle\":%q\n", bundle, bundle))
}

func TestDeleteLeavesNoCgroup(t *testing.T) {
	spec := exectest.Spec(exectest.RootFS(t), "sleep", "1000")
	spec.Linux.CgroupsPath += "-gone"
	t.Run("run", func(t *testing.T) { runningSpec(t, spec) })
	left, err := filepath.Glob("/sys/fs/cgroup/*" + spec.Linux.CgroupsPath)
	assert.NilError(t, err)
	more, err := filepath.Glob("/sys/fs/cgroup" + spec.Linux.CgroupsPath)
	assert.NilError(t, err)
	assert.Equal(t, len(left)+len(more), 0, "%v %v", left, more)
}
