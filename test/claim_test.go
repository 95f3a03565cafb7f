//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
	"github.com/jobengine/engine/test/leak"
)

// A data root belongs to one daemon, whatever else the second one has of its own.
func TestASecondDaemonOnADataRootIsRefused(t *testing.T) {
	e := startLoaded(t)
	assert.NilError(t, createContainer(e.Daemon, "one", stays))
	e.must("start", "one")
	bin, err := harness.EngineBinary()
	assert.NilError(t, err)
	other := folder(t)
	for what, args := range map[string][]string{
		"all of it":          {"--exec-root", e.ExecRoot, "-p", e.PidFile},
		"another pid file":   {"--exec-root", e.ExecRoot, "-p", other + "/pid"},
		"another exec root":  {"--exec-root", other + "/exec", "-p", e.PidFile},
		"a root of its own":  {"--exec-root", other + "/exec", "-p", other + "/pid"},
		"through a symlink":  {"--exec-root", other + "/exec", "-p", other + "/pid", "--data-root", other + "/link"},
		"another cgroup too": {"--exec-root", other + "/exec", "-p", other + "/pid", "--cgroup-parent", "/engine-test-other"},
	} {
		_ = os.Symlink(e.DataRoot, other+"/link")
		args = append([]string{"-d", "-H", "unix://" + other + "/sock", "--data-root", e.DataRoot}, args...)
		begun := time.Now()
		out, err := exec.Command(bin, args...).CombinedOutput()
		assert.ErrorContains(t, err, "exit status 1", "%s: %s", what, out)
		assert.Assert(t, strings.Contains(string(out), fmt.Sprintf("is in use by another process (pid %d)", e.Pid())), "%s: %s", what, out)
		assert.Assert(t, time.Since(begun) < 10*time.Second, what)
	}
	assert.NilError(t, execIn(e.Daemon, "one"))
	e.must("rm", "-f", "one")
}

// A daemon whose predecessor is a zombie, and whose pid file names a process
// that lives and is another's, starts the first time.
func TestStalePidsAndZombiesKeepNobodyFromStarting(t *testing.T) {
	e := startLoaded(t)
	assert.NilError(t, createContainer(e.Daemon, "one", stays))
	e.must("start", "one")

	bystander := exec.Command("sleep", "1000")
	bystander.Env = []string{leak.Mark(e.Dir)}
	assert.NilError(t, bystander.Start())
	defer bystander.Wait()
	defer bystander.Process.Kill()
	stranger := start(t) // a daemon too, but another's

	bin, err := harness.EngineBinary()
	assert.NilError(t, err)
	args := []string{"-d", "-H", "unix://" + e.Socket, "--data-root", e.DataRoot, "--exec-root", e.ExecRoot, "-p", e.PidFile, "--cgroup-parent", e.CgroupParent}
	e.KeepPidFile = true
	for what, pid := range map[string]int{
		"its own": 0, "a bystander's": bystander.Process.Pid, "another daemon's": stranger.Pid(), "this test's": os.Getpid(), "init's": 1, "nobody's": 4194303,
	} {
		e.Kill()
		// This one is never waited for: it stays a zombie until the end of the test.
		zombie := exec.Command(bin, args...)
		zombie.Env = append(harness.CleanEnv(), "TMPDIR="+e.TmpDir, leak.Mark(e.Dir))
		zombie.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		assert.NilError(t, zombie.Start())
		defer zombie.Wait()
		up := false
		for i := 0; i < 500 && !up; i++ {
			res, err := e.HTTP().Get("http://d/_ping")
			if up = err == nil; up {
				res.Body.Close()
			} else {
				time.Sleep(20 * time.Millisecond)
			}
		}
		assert.Assert(t, up, what)
		assert.NilError(t, syscall.Kill(zombie.Process.Pid, syscall.SIGKILL))
		if pid == 0 {
			pid = zombie.Process.Pid
		}
		for _, file := range []string{e.PidFile, e.DataRoot + "/owner.pid", e.ExecRoot + "/owner.pid", e.ExecRoot + "/supervisor.pid"} {
			if _, err := os.Stat(file); err == nil || file == e.PidFile {
				assert.NilError(t, os.WriteFile(file, []byte(fmt.Sprintln(pid)), 0o644))
			}
		}
		assert.NilError(t, e.Start(), what)
		assert.NilError(t, execIn(e.Daemon, "one"), what)
	}
	assert.NilError(t, bystander.Process.Signal(syscall.Signal(0)))
	e.must("rm", "-f", "one")
}
