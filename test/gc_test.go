//go:build system

package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/test/harness"
)

// Above its size the daemon removes images by itself, but none that a container
// was made from. It can die, or fail, when it has chosen one.
func TestGarbageIsCollectedOverKillsAndFailures(t *testing.T) {
	withFailpoints(t)
	e := startLoaded(t)
	assert.NilError(t, createContainer(e.Daemon, "keeper", ends))
	limits := []string{"--gc", "max-size=2500kB,unused=true,keep-for=0s"}
	e.Reflag(limits...)

	body := strings.Repeat("x", 600_000)
	bring := func(name string) {
		t.Helper()
		archive := harness.ImageArchive(name+":1", [][]byte{harness.Tar(harness.File(name, body))}, nil)
		e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(archive))) // it may die meanwhile
	}
	tags := func() string {
		names := strings.Fields(e.must("images", "--format", "{{.Repository}}"))
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	for _, f := range faults("gc", failpoint.GarbageChosen) {
		assert.NilError(t, e.Stop())
		env := f.env(t)
		e.SetEnv(env...)
		assert.NilError(t, e.Start(), "%s", f)
		e.SetEnv()
		bring("one" + f.action)
		if f.action == "die" {
			select {
			case <-e.Done():
			case <-time.After(time.Minute):
				t.Fatalf("%s: it lives", f)
			}
			assert.NilError(t, e.Start(), "%s", f)
		} else { // the next occasion
			bring("two" + f.action)
		}
		eventually(t, f.String()+": all is collected", func() bool { return tags() == "busybox" })
		e.must("system", "check")
		assert.NilError(t, ownedAtLast(e.Daemon), "%s", f)
	}
	assert.Assert(t, strings.Contains(e.Log(), "images: gc: "), e.Log())
	e.must("start", "keeper")
	e.must("wait", "keeper")

	// The same without a limit keeps everything.
	assert.NilError(t, e.Stop())
	e.Reflag("--gc", "max-size=0")
	assert.NilError(t, e.Start())
	bring("three")
	e.must("rm", "keeper")
	assert.Equal(t, tags(), "busybox three")
}
