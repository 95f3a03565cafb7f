//go:build system

package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// With zero bytes free the daemon starts, lists, stops and keeps exit codes;
// everything that frees space works, and what needs space fails with a clear word
// and leaves nothing.
func TestZeroBytesFree(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			dir := folder(t)
			size := int64(64)
			if fs != "ext4" {
				size = 320
			}
			d := newDisk(t, fs, dir, size)
			e := startIn(t, dir)
			e.load()
			for _, name := range []string{"one", "two", "three"} {
				assert.NilError(t, createContainer(e.Daemon, name, ends))
			}
			e.must("start", "two")
			e.must("wait", "two")
			assert.NilError(t, createContainer(e.Daemon, "lives", stays))
			assert.NilError(t, createContainer(e.Daemon, "leaves", "trap 'exit 7' TERM; while :; do sleep 0.02; done"))
			e.must("start", "lives", "leaves")
			e.must("tag", "busybox", "other:1")
			e.must("tag", "busybox", "other:2")
			e.must("import", rootfs, "gone:1")
			e.must("import", rootfs)
			filler := d.fill()

			// It stops containers, and knows how they ended after a restart.
			e.must("stop", "-t", "10", "leaves")
			e.Kill()
			assert.NilError(t, e.Start())
			found, err := observe(e.Daemon)
			assert.NilError(t, err)
			assert.Equal(t, found["c leaves"], "exited 7")
			assert.Equal(t, found["c lives"], "running")
			assert.Equal(t, found["c two"], "exited 3")

			// What needs space says so.
			code, text, _, err := e.Do("POST", "/containers/create?name=more", map[string]any{"Image": "busybox", "Cmd": []string{"true"}})
			assert.NilError(t, err)
			if code != 201 { // a few bytes may be found
				assert.Equal(t, code, 500)
				assert.Assert(t, strings.Contains(text, "no space left on device"), text)
			} else {
				e.must("rm", "more")
			}
			res := e.any("load", "-i", busybox)
			assert.Assert(t, res.Code == 0 || strings.Contains(res.Stderr, "no space left on device"), "%s", res)
			assert.NilError(t, ownedAtLast(e.Daemon))

			// What frees space works, again and again.
			e.must("rm", "one")
			e.must("rmi", "gone:1")
			e.must("rmi", "other:1")
			e.must("rmi", "other:2")
			e.must("exec", "lives", "true")
			e.must("rm", "-f", "lives")
			e.must("container", "prune", "-f")
			e.must("image", "prune", "-f")
			found, err = observe(e.Daemon)
			assert.NilError(t, err)
			assert.Equal(t, len(found), 1, "%s", found)
			e.Kill()
			assert.NilError(t, e.Start())
			again, err := observe(e.Daemon)
			assert.NilError(t, err)
			assert.Equal(t, found.difference(again), "")
			assert.NilError(t, ownedAtLast(e.Daemon))

			// And when there is space again everything does.
			assert.NilError(t, os.Remove(filler))
			extra, _ := filepath.Glob(filler + "*")
			for _, f := range extra {
				assert.NilError(t, os.Remove(f))
			}
			e.must("run", "--rm", "--network", "none", "busybox", "true")
			e.must("image", "prune", "-af")
			assert.NilError(t, e.Stop())
			d.unmount()
		})
	}
}

// A data root that cannot be written is served as far as that goes.
func TestAReadOnlyDataRootIsListed(t *testing.T) {
	dir := folder(t)
	d := newDisk(t, "ext4", dir, 64)
	e := startIn(t, dir)
	e.load()
	assert.NilError(t, createContainer(e.Daemon, "one", ends))
	assert.NilError(t, createContainer(e.Daemon, "ran", ends))
	e.must("start", "ran")
	e.must("wait", "ran")
	before, err := observe(e.Daemon)
	assert.NilError(t, err)
	assert.NilError(t, e.Stop())
	d.remount("ro")

	assert.NilError(t, e.Start())
	after, err := observe(e.Daemon)
	assert.NilError(t, err)
	assert.Equal(t, before.difference(after), "")
	e.must("info")
	for _, args := range [][]string{{"start", "one"}, {"rm", "one"}, {"rmi", "-f", "busybox"}, {"tag", "busybox", "x:1"}, {"create", "busybox", "true"}} {
		res := e.any(args...)
		assert.Assert(t, res.Code != 0 && strings.Contains(res.Stderr, "read-only file system"), "%v: %s", args, res)
	}
	after, err = observe(e.Daemon)
	assert.NilError(t, err)
	assert.Equal(t, before.with("c one", after["c one"]).difference(after), "")
	assert.NilError(t, e.Stop())
	d.remount("rw")
	assert.NilError(t, e.Start())
	e.must("start", "one")
	e.must("rm", "-f", "one", "ran")
	assert.NilError(t, e.Stop())
	d.unmount()
}
