//go:build system

package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// Right after an acknowledgement the disk below the data root is copied, as a
// power cut would leave it: what is only in the page cache of the file system is
// not in the copy. A daemon on the copy has all that was acknowledged, whole.
func TestAPowerCutTakesNothingBackThatWasAcknowledged(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			dir := folder(t)
			newDisk(t, fs, dir, 320)
			e := startIn(t, dir)
			e.load()
			c := newCrashes(t, e, seed(t))
			cuts := rounds(6)
			for n := 0; n < cuts; n++ {
				verb, deed := c.next()
				assert.NilError(t, deed.do(c.Daemon), verb)
				// A file of its own each time: the loop device of the last one may still be there, and
				// would be used again with what it remembers.
				copied := filepath.Join(dir, fmt.Sprint("copy", n))
				copyAtOneMoment(t, filepath.Join(dir, "disk"), copied)
				c.check(verb+" without a fault", true, deed)
				c.afterCut(verb, copied, fs)
				assert.NilError(t, os.Remove(copied))
			}
		})
	}
}

// copyAtOneMoment copies a disk that is in use. The file system writes in the background,
// and a copy with some blocks of before and some of after is no power cut: it counts
// if the disk is still the same when all of it has been read.
func copyAtOneMoment(t *testing.T, disk, copied string) {
	t.Helper()
	for range 50 {
		out, err := exec.Command("cp", "--sparse=always", "--reflink=auto", disk, copied).CombinedOutput()
		assert.NilError(t, err, "%s", out)
		out, err = exec.Command("cmp", "-s", disk, copied).CombinedOutput()
		if err == nil {
			return
		}
		var differs *exec.ExitError
		assert.Assert(t, errors.As(err, &differs) && differs.ExitCode() == 1, "cmp: %v: %s", err, out)
	}
	t.Fatal("the disk is written to all the time")
}

// afterCut starts a daemon on the copy of a disk and compares.
func (c *crashes) afterCut(verb, copied, fs string) {
	c.t.Helper()
	dir := folder(c.t)
	home := filepath.Join(dir, "data")
	assert.NilError(c.t, os.Mkdir(home, 0o710))
	options := "loop"
	if fs == "xfs" {
		options += ",nouuid" // its twin is mounted
	}
	run(c.t, "mount", "-o", options, copied, home)
	defer unix.Unmount(home, unix.MNT_DETACH)
	d, err := harness.StartEngine(harness.Options{Dir: dir})
	assert.NilError(c.t, err, verb)
	defer func() {
		assert.NilError(c.t, d.Clear())
		assert.NilError(c.t, d.Stop())
	}()
	found, err := observe(d)
	assert.NilError(c.t, err)
	// The machine was off: what ran has ended, and nobody knows how.
	want := state{}
	for key, how := range c.now {
		if strings.HasPrefix(key, "c ") && how == "running" {
			how = "exited 255"
		}
		want[key] = how
	}
	// An end is told before it is on the disk, and a name that moved may be.
	for key, how := range found {
		if strings.HasPrefix(key, "c ") && how == "exited 255" && strings.HasPrefix(want[key], "exited") {
			want[key] = how
		}
	}
	if wrong := want.difference(found); wrong != "" {
		c.t.Fatalf("power cut after %s: %s\nacknowledged:%s\nthere:%s\nlog:\n%s", verb, wrong, c.now, found, lastLines(d.Log(), 30))
	}
	for id, layers := range c.files {
		for key, have := range found {
			if have == id {
				assert.NilError(c.t, hollow(d, id, layers...), "power cut after %s: %s", verb, key)
				break
			}
		}
	}
	assert.NilError(c.t, ownedAtLast(d), "power cut after %s", verb)
}
