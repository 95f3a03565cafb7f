//go:build system

package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/leak"
)

// use is what the daemon and its supervisor hold together.
type use struct{ processes, fds, threads, rssKB, mounts int }

func (e *engine) use() use {
	var u use
	for _, pid := range leak.Helpers(e.Dir) {
		dir := fmt.Sprintf("/proc/%d", pid)
		u.processes++
		fds, _ := os.ReadDir(dir + "/fd")
		u.fds += len(fds)
		tasks, _ := os.ReadDir(dir + "/task")
		u.threads += len(tasks)
		b, _ := os.ReadFile(dir + "/status")
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
				kb, _ := strconv.Atoi(f[1])
				u.rssKB += kb
			}
		}
	}
	b, _ := os.ReadFile("/proc/self/mountinfo")
	u.mounts = strings.Count(string(b), e.Dir)
	return u
}

// lax is by how many descriptors two idle moments differ without a leak: Go
// closes the pidfds of children that have ended when it collects garbage. One
// descriptor lost for each container would be hundreds.
const lax = 15

// idle is a bar that any use meets.
var idle = use{processes: 1 << 20, fds: 1 << 20, mounts: 1 << 20}

// files counts what lies in the roots.
func (e *engine) files() (n int) {
	for _, root := range []string{e.DataRoot, e.ExecRoot} {
		filepath.WalkDir(root, func(string, os.DirEntry, error) error { n++; return nil })
	}
	return n
}

// settled waits until the use no longer exceeds a bar, and gives the last.
func (e *engine) settled(bar use) use {
	var u use
	for i := 0; i < 100; i++ {
		u = e.use()
		if u.fds <= bar.fds+lax && u.processes <= bar.processes && u.mounts <= bar.mounts {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return u
}

func TestSoakRunsInSequenceLeaveNothing(t *testing.T) {
	e := startLoaded(t)
	run := func(n int) {
		for i := range n {
			res := e.any("run", "--rm", "--network", "none", "busybox", "echo", strconv.Itoa(i))
			assert.Equal(t, res.Code, 0, "run %d: %s", i, res)
			assert.Equal(t, res.Stdout, strconv.Itoa(i)+"\n", "run %d", i)
		}
	}
	run(50)
	before, files := e.settled(idle), e.files()
	run(size(300, 1000))
	after := e.settled(before)
	t.Logf("before %+v, after %+v", before, after)
	assert.Equal(t, after.processes, before.processes)
	assert.Equal(t, after.mounts, before.mounts)
	assert.Assert(t, after.fds <= before.fds+lax, "descriptors: %d, then %d", before.fds, after.fds)
	assert.Assert(t, after.threads <= before.threads+8, "threads: %d, then %d", before.threads, after.threads)
	assert.Assert(t, after.rssKB <= before.rssKB+10<<10, "memory in kB: %d, then %d", before.rssKB, after.rssKB)
	assert.Equal(t, e.files(), files, "files in the roots")
	assert.Equal(t, e.must("ps", "-aq"), "")
}

func TestSoakFiftyAtOnce(t *testing.T) {
	e := startLoaded(t)
	once := func() error {
		errs := make([]error, size(50, 200))
		var wg sync.WaitGroup
		for i := range errs {
			wg.Add(1)
			go func() {
				defer wg.Done()
				name := fmt.Sprintf("at-once-%d", i)
				steps := []struct{ method, path string }{
					{"POST", "/containers/" + name + "/start"},
					{"POST", "/containers/" + name + "/wait"},
					{"DELETE", "/containers/" + name},
				}
				errs[i] = e.JSON("POST", "/containers/create?name="+name, map[string]any{"Image": "busybox", "Cmd": []string{"true"}}, nil)
				for _, s := range steps {
					if errs[i] == nil {
						errs[i] = e.JSON(s.method, s.path, nil, nil)
					}
				}
			}()
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	// Twice to fill the pools that are kept, such as the threads'.
	assert.NilError(t, errors.Join(once(), once()))
	before, files := e.settled(idle), e.files()
	assert.NilError(t, errors.Join(once(), once(), once()))
	after := e.settled(before)
	t.Logf("before %+v, after %+v", before, after)
	assert.Equal(t, after.processes, before.processes)
	assert.Equal(t, after.mounts, before.mounts)
	assert.Assert(t, after.fds <= before.fds+lax, "descriptors: %d, then %d", before.fds, after.fds)
	assert.Equal(t, e.files(), files, "files in the roots")
	assert.Equal(t, e.must("ps", "-aq"), "")
}
