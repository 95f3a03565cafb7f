//go:build system

package test

import (
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

// disk is a small file system of its own in a file.
type disk struct {
	t          *testing.T
	file, home string // home is where it is mounted
	fs         string
}

// newDisk makes a disk and mounts it where a daemon that lives in dir has its
// data root. The test is skipped where there are no loop devices or no mkfs.
func newDisk(t *testing.T, fs, dir string, megabytes int64) *disk {
	t.Helper()
	mkfs, err := exec.LookPath("mkfs." + fs)
	if err != nil {
		t.Skipf("no mkfs.%s", fs)
	}
	d := &disk{t: t, file: filepath.Join(dir, "disk"), home: filepath.Join(dir, "data"), fs: fs}
	assert.NilError(t, os.MkdirAll(d.home, 0o710))
	f, err := os.Create(d.file)
	assert.NilError(t, err)
	assert.NilError(t, f.Truncate(megabytes<<20))
	assert.NilError(t, f.Close())
	args := []string{"-q", d.file}
	if fs == "ext4" {
		args = []string{"-q", "-m", "0", d.file} // root has no reserve
	}
	run(t, mkfs, args...)
	d.mount("")
	return d
}

func (d *disk) mount(options string) {
	d.t.Helper()
	args := []string{"-o", "loop" + options, d.file, d.home}
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "loop device") {
			d.t.Skipf("no loop devices: %s", out)
		}
		d.t.Fatalf("mount %v: %s", args, out)
	}
	d.t.Cleanup(func() { unix.Unmount(d.home, unix.MNT_DETACH) })
}

func (d *disk) unmount() {
	d.t.Helper()
	assert.NilError(d.t, unix.Unmount(d.home, unix.MNT_DETACH))
}

// remount changes what may be done with it, "ro" or "rw".
func (d *disk) remount(how string) {
	d.t.Helper()
	run(d.t, "mount", "-o", "remount,"+how, d.home)
}

// fill takes every byte, and gives the file that has them.
func (d *disk) fill() string {
	d.t.Helper()
	path := filepath.Join(d.home, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	assert.NilError(d.t, err)
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for block := make([]byte, size); ; {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
		// Delayed allocation finds the end only when the bytes are written out.
		if f.Sync() != nil {
			break
		}
	}
	for i := range 200 { // blocks that folders have to spare
		if os.WriteFile(fmt.Sprint(path, i), []byte("x"), 0o600) != nil {
			break
		}
	}
	var st unix.Statfs_t
	assert.NilError(d.t, unix.Statfs(d.home, &st))
	assert.Assert(d.t, int64(st.Bavail)*st.Bsize < 64<<10, "%d bytes are free", int64(st.Bavail)*st.Bsize)
	return path
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	assert.NilError(t, err, "%s %v: %s", name, args, out)
}

// folder is where a daemon that the test looks after itself lives.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-test-")
	assert.NilError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startIn gives a daemon that lives in a folder which may have been used before.
func startIn(t *testing.T, dir string, flags ...string) *engine {
	t.Helper()
	d, err := harness.StartEngine(harness.Options{Dir: dir, Flags: flags})
	assert.NilError(t, err)
	cli, err := harness.EngineCLI()
	assert.NilError(t, err)
	e := &engine{d, t, cli}
	t.Cleanup(func() {
		select {
		case <-d.Done():
		default:
			if err := d.Clear(); err != nil {
				t.Errorf("clear: %v", err)
			}
			if err := d.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", lastLines(d.Log(), 40))
		}
	})
	return e
}
