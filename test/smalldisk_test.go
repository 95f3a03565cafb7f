//go:build system

package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// What does not fit on a small disk says so, leaves nothing there, and is no
// reason for the next thing to fail.
func TestImagesThatDoNotFitLeaveASmallDiskAsItWas(t *testing.T) {
	dir := folder(t)
	d := newDisk(t, "ext4", dir, 64)
	maker := start(t)
	registry := startRegistry(t)
	big, fits := registry+"/big:1", registry+"/fits:1"
	maker.loadRandom(big, 3, 20<<20)
	maker.loadRandom(fits, 2, 4<<20)
	maker.must("push", "-q", big)
	maker.must("push", "-q", fits)
	archive, rootFS := filepath.Join(folder(t), "big.tar"), filepath.Join(folder(t), "root.tar")
	maker.must("save", "-o", archive, big)
	assert.NilError(t, os.WriteFile(rootFS, harness.Tar(harness.File("file", string(bytes.Repeat([]byte("0123456789abcdef"), 5<<19)))), 0o600))

	e := startIn(t, dir)
	e.load()
	e.must("run", "--name", "heavy", "--network", "none", "busybox", "dd", "if=/dev/urandom", "of=/file", "bs=1M", "count=30")
	e.must("run", "--rm", "--network", "none", "busybox", "true") // all that is made once is there
	taken := func() int64 {
		unix.Sync()
		var s unix.Statfs_t
		assert.NilError(t, unix.Statfs(d.home, &s))
		return int64(s.Blocks-s.Bfree) * s.Bsize
	}
	before, images := taken(), e.must("images", "-aq")
	asBefore := func(what string) {
		t.Helper()
		const folders = 128 << 10 // that have grown
		eventually(t, what+": the disk is as it was", func() bool { return taken() <= before+folders })
		assert.Equal(t, e.must("images", "-aq"), images, what)
		e.must("system", "check")
		e.must("run", "--rm", "--network", "none", "busybox", "true")
		assert.NilError(t, ownedAtLast(e.Daemon), what)
	}
	for _, line := range []string{"pull -q " + big, "load -q -i " + archive, "import " + rootFS, "commit heavy heavy:1", "pull " + big} {
		res := e.any(strings.Fields(line)...)
		assert.Equal(t, res.Code, 1, "%s: %s", line, res)
		assert.Assert(t, strings.Contains(res.Stderr, "no space left on device"), "%s: %s", line, res)
		asBefore(line)
	}
	code, text, _, err := e.Do("POST", "/commit?container=heavy&repo=heavy", map[string]any{})
	assert.NilError(t, err)
	assert.Equal(t, code, 500, text)
	assert.Assert(t, strings.Contains(text, "no space left on device"), text)
	asBefore("commit by the API")
	e.must("pull", "-q", fits)
	e.must("rmi", fits)

	// The same after a restart, and with room what did not fit does.
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	asBefore("the restart")
	e.must("rm", "heavy")
	e.must("rmi", "busybox")
	e.must("import", rootFS, "root:1")
	e.must("rmi", "root:1")
	assert.NilError(t, e.Stop())
	d.unmount()
}
