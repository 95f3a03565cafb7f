package lateoom

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/pidfd"
)

func TestTheGroupAboveCountsForOneThatIsgone(t *testing.T) {
	slice := t.TempDir()
	group := filepath.Join(slice, "x.scope")
	_, ok := above(group)
	assert.Check(t, !ok, "cgroup v1, or the root, counts nothing")
	assert.NilError(t, os.WriteFile(filepath.Join(slice, "memory.events"), []byte("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), 0o600))
	kills, ok := above(group)
	assert.Check(t, ok && kills == 2)
	assert.Check(t, gone(group))
	assert.NilError(t, os.Mkdir(group, 0o700))
	assert.NilError(t, os.WriteFile(filepath.Join(group, "memory.events"), nil, 0o600))
	assert.Check(t, !gone(group) && !gone(""))
	_, ok = above("")
	assert.Check(t, !ok)
}

func TestADeathBySIGKILLIsForLackOfMemoryIfTheCountGrew(t *testing.T) {
	slice := t.TempDir()
	count := func(n int) {
		assert.NilError(t, os.WriteFile(filepath.Join(slice, "memory.events"), fmt.Appendf(nil, "oom_kill %d\n", n), 0o600))
	}
	count(1)
	trace := Begin(filepath.Join(slice, "x.scope"))
	assert.Check(t, trace != nil)
	assert.Check(t, Begin(filepath.Join(slice, "no/x.scope")) == nil)
	for signal, dies := range map[syscall.Signal]bool{syscall.SIGKILL: true, syscall.SIGTERM: false} {
		cmd := exec.Command("sleep", "1000")
		assert.NilError(t, cmd.Start())
		p := pidfd.Process{Pid: cmd.Process.Pid}
		var err error
		p.StartTime, err = pidfd.StartTime(p.Pid)
		assert.NilError(t, err)
		count(2)
		assert.Check(t, !trace.Tells(p), "it lives")
		assert.NilError(t, cmd.Process.Signal(signal))
		for p.Alive() {
			time.Sleep(time.Millisecond)
		}
		assert.Equal(t, trace.Tells(p), dies)
		count(1)
		assert.Check(t, !trace.Tells(p), "nothing was killed for lack of memory")
		_ = cmd.Wait()
	}
	var none *Trace
	assert.Check(t, !none.Tells(pidfd.Process{}))
}
