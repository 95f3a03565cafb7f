//go:build system

package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

func TestASecondDaemonOnTheSameDataRootIsRefused(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	other := t.TempDir()
	second := harness.Command{Path: e.cli.Path, Args: []string{"-d", "-H", "unix://" + other + "/s.sock", "--data-root", e.DataRoot,
		"--exec-root", other + "/exec", "-p", other + "/pid", "--cgroup-parent", e.CgroupParent}, Patience: 20 * time.Second}
	res, err := second.Run(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, res.Code != 0)
	assert.Assert(t, strings.Contains(res.Stderr, strconv.Itoa(e.Pid())), "the first one's pid is %d: %s", e.Pid(), res)
	assert.Equal(t, e.must("ps", "--format", "{{.Names}}"), "web")
	assert.Equal(t, e.must("exec", "web", "echo", "fine"), "fine")
}

func TestContainersSurviveAKilledDaemon(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "stays", "busybox", "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done")
	e.must("run", "-d", "--name", "ends", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.02; done; exit 42")
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "stays")
	ending := e.must("inspect", "-f", "{{.State.Pid}}", "ends")
	eventually(t, "some lines", func() bool { return len(e.must("logs", "stays")) > 10 })

	e.Kill()
	assert.NilError(t, os.WriteFile("/proc/"+ending+"/root/go", nil, 0o600))
	eventually(t, "the other container ended without a daemon", func() bool {
		b, err := os.ReadFile("/proc/" + ending + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	})
	assert.NilError(t, e.Start())

	assert.Equal(t, e.must("inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "stays"), "true "+pid)
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends"), "exited 42")
	assert.Equal(t, e.must("exec", "stays", "echo", "in"), "in")
	have := len(strings.Fields(e.must("logs", "stays")))
	eventually(t, "the log goes on", func() bool { return len(strings.Fields(e.must("logs", "stays"))) > have+3 })
	for i, line := range strings.Fields(e.must("logs", "stays")) {
		assert.Equal(t, line, strconv.Itoa(i), "a line was lost or doubled")
	}
	e.must("stop", "-t", "0", "stays")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.ExitCode}}", "stays"), "137")
}

func TestACleanStopLeavesContainersRunning(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "web")
	assert.NilError(t, e.Stop())
	assert.NilError(t, syscall.Kill(atoi(t, pid), 0))
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "web"), "true "+pid)
}

func TestAKilledSupervisorLosesNoContainer(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.02; done; exit 5")
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "web")
	supervisor := parentOf(t, pid)
	assert.Assert(t, supervisor != e.Pid() && supervisor != 1, "the parent of the container is %d", supervisor)
	assert.NilError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	eventually(t, "a container can be made again", func() bool {
		return e.any("run", "--rm", "busybox", "true").Code == 0
	})
	state := e.must("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "web")
	assert.Equal(t, state, "running "+pid)
	assert.NilError(t, os.WriteFile("/proc/"+pid+"/root/go", nil, 0o600))
	code := e.must("wait", "web")
	assert.Assert(t, code == "5" || code == "255", code)
}

func TestADaemonStopsAtOnceOnSIGTERMAndAnswers0(t *testing.T) {
	e := start(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		assert.NilError(t, e.Signal(sig))
		<-e.Done()
		assert.NilError(t, e.Start())
	}
	pid, err := e.PidInFile()
	assert.NilError(t, err)
	assert.Equal(t, pid, e.Pid())
}

func TestTheSocketIsClosedToOthers(t *testing.T) {
	e := start(t)
	st, err := os.Stat(e.Socket)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o660))
}

// A harness that sees nothing would pass everything.
func TestSweepReportsWhatIsLeft(t *testing.T) {
	e := start(t)
	e.load()
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	assert.NilError(t, e.Stop())
	err := e.Sweep()
	assert.Assert(t, err != nil)
	for _, kind := range []string{"process", "cgroup", "sleep 1000"} {
		assert.Assert(t, strings.Contains(err.Error(), kind), "no %s in: %v", kind, err)
	}
	// Sweep has ended it all; the cleanup wants a daemon that it can stop.
	assert.NilError(t, os.MkdirAll(e.TmpDir, 0o700))
	assert.NilError(t, e.Start())
}

func parentOf(t *testing.T, pid string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", pid))
	assert.NilError(t, err)
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "PPid:"); ok {
			return atoi(t, strings.TrimSpace(rest))
		}
	}
	t.Fatalf("no parent of %s", pid)
	return 0
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	assert.NilError(t, err)
	return n
}
