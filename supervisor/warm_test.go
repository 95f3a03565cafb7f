package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/poll"
)

func TestWarmingJoinsTheGroupThatWeAreIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cgroup.procs")
	f, err := os.Create(path)
	assert.NilError(t, err)
	defer f.Close()
	w := &warmer{procs: f, busy: make(chan struct{}, 1)}
	w.warm()
	poll.WaitOn(t, func(poll.LogT) poll.Result {
		if text, _ := os.ReadFile(path); string(text) == "0" {
			return poll.Success()
		}
		return poll.Continue("not written yet")
	}, poll.WithTimeout(20*time.Second))
	(&warmer{busy: make(chan struct{}, 1)}).warm() // where there are no cgroups: nothing
}

// What is written there must not move us: it is the group that we are in.
func TestTheOwnGroupIsFound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	before, err := os.ReadFile("/proc/self/cgroup")
	assert.NilError(t, err)
	w := newWarmer()
	if w.procs == nil {
		t.Skip("no cgroups here")
	}
	defer w.procs.Close()
	_, err = w.procs.WriteString("0")
	assert.NilError(t, err)
	after, err := os.ReadFile("/proc/self/cgroup")
	assert.NilError(t, err)
	assert.Equal(t, string(after), string(before))
}
