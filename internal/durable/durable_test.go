package durable

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

func TestAFileIsOldOrNewWheneverTheProcessDies(t *testing.T) {
	for _, write := range []func(FS, string, []byte, fs.FileMode) error{WriteFile, WriteFileUnsynced} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "record")
			assert.NilError(t, WriteFile(OS, path, []byte("old"), 0o600))
			failing := FailFrom(OS, n, syscall.ENOSPC)
			err := write(failing, path, []byte("new and longer"), 0o600)
			data, rerr := Read(OS, path)
			assert.NilError(t, rerr)
			if err == nil {
				assert.Equal(t, string(data), "new and longer")
			} else {
				assert.Assert(t, errors.Is(err, syscall.ENOSPC))
				assert.Assert(t, string(data) == "old" || string(data) == "new and longer", "call %d: %q", n, data)
			}
			assert.NilError(t, Sweep(OS, dir))
			entries, derr := os.ReadDir(dir)
			assert.NilError(t, derr)
			assert.Equal(t, len(entries), 1, "call %d", n)
			if !failing.Failed() {
				assert.NilError(t, err)
				break
			}
		}
	}
}

func TestAFullDiskLeavesNoTemporaryFile(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		failing := FailOnce(OS, n, syscall.ENOSPC)
		err := WriteJSON(failing, filepath.Join(dir, "record"), map[string]int{"a": 1}, 0o600)
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			assert.Equal(t, e.Name(), "record", "call %d", n)
		}
		if !failing.Failed() {
			assert.NilError(t, err)
			return
		}
	}
}

func TestATreeIsRemovedWholeOrNotAtAll(t *testing.T) {
	for n := 1; ; n++ {
		root := t.TempDir()
		dir := filepath.Join(root, "tree")
		assert.NilError(t, MkdirAll(OS, filepath.Join(dir, "a", "b"), 0o700))
		assert.NilError(t, WriteFile(OS, filepath.Join(dir, "a", "file"), []byte("x"), 0o600))
		failing := FailFrom(OS, n, syscall.EIO)
		err := RemoveTree(failing, dir)
		if _, serr := os.Stat(filepath.Join(dir, "a", "file")); serr != nil {
			_, serr = os.Stat(dir)
			assert.Assert(t, errors.Is(serr, fs.ErrNotExist), "call %d: half of the tree is there", n)
		} else {
			assert.Assert(t, err != nil)
		}
		assert.NilError(t, Sweep(OS, root))
		if !failing.Failed() {
			assert.NilError(t, err)
			entries, _ := os.ReadDir(root)
			assert.Equal(t, len(entries), 0)
			break
		}
	}
	assert.NilError(t, RemoveTree(OS, filepath.Join(t.TempDir(), "absent")))
	assert.NilError(t, Remove(OS, filepath.Join(t.TempDir(), "absent")))
	assert.NilError(t, Sweep(OS, filepath.Join(t.TempDir(), "absent")))
}

func TestDamagedRecordsAreDataLossAndAbsentOnesAreAbsent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	var v struct{ A int }
	assert.Assert(t, errors.Is(ReadJSON(OS, path, &v), fs.ErrNotExist))
	for _, content := range []string{"", "{", `{"A":1}x`, `{"A":1}` + strings.Repeat("\x00", 9), `{"A":"x"}`, "\xff\x00garbage"} {
		assert.NilError(t, os.WriteFile(path, []byte(content), 0o600))
		err := ReadJSON(OS, path, &v)
		assert.Assert(t, errdefs.IsDataLoss(err), "%q: %v", content, err)
		assert.ErrorContains(t, err, path)
	}
	assert.NilError(t, WriteJSON(OS, path, map[string]any{"A": 7, "New": "<field>"}, 0o600))
	assert.NilError(t, ReadJSON(OS, path, &v))
	assert.Equal(t, v.A, 7)

	assert.NilError(t, os.Truncate(path, MaxRecord+1))
	_, err := Read(OS, path)
	assert.Assert(t, errdefs.IsDataLoss(err), "%v", err)
	assert.NilError(t, os.Remove(path))
	assert.NilError(t, syscall.Mkfifo(path, 0o600))
	err = ReadJSON(OS, path, &v)
	assert.ErrorContains(t, err, "not a regular file")
	assert.Assert(t, errdefs.IsDataLoss(err))
	assert.NilError(t, os.Remove(path))
	assert.NilError(t, os.Symlink("/etc/passwd", path))
	assert.Assert(t, errdefs.IsDataLoss(ReadJSON(OS, path, &v)))
}

func TestMkdirAllMakesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, MkdirAll(OS, filepath.Join(dir, "a", "b", "c"), 0o700))
	assert.NilError(t, MkdirAll(OS, filepath.Join(dir, "a", "b", "c"), 0o700))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	assert.Assert(t, MkdirAll(OS, filepath.Join(dir, "file"), 0o700) != nil)
	assert.Assert(t, MkdirAll(OS, filepath.Join(dir, "file", "x"), 0o700) != nil)
}

func TestASecondProcessIsToldTheFirstOnesPid(t *testing.T) {
	if dir := os.Getenv("DURABLE_TEST_LOCK"); dir != "" {
		_, err := Lock(dir)
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(3)
		}
		os.Exit(0)
	}
	dir := t.TempDir()
	other := func() (string, error) {
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestASecondProcessIsToldTheFirstOnesPid$")
		cmd.Env = append(os.Environ(), "DURABLE_TEST_LOCK="+dir)
		out, err := cmd.Output()
		return string(out), err
	}
	lock, err := Lock(dir)
	assert.NilError(t, err)
	out, err := other()
	assert.ErrorContains(t, err, "exit status 3")
	assert.Equal(t, out, dir+" is in use by another process (pid "+strconv.Itoa(os.Getpid())+")")
	_, err = Lock(dir)
	assert.Assert(t, errdefs.IsConflict(err), "%v", err)
	assert.NilError(t, lock.Unlock())
	_, err = other()
	assert.NilError(t, err)
}

func TestLockWorksOnAReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, ownerFile), []byte("garbage"), 0o444))
	assert.NilError(t, os.Chmod(dir, 0o500))
	lock, err := Lock(dir)
	assert.NilError(t, err)
	_, err = Lock(dir)
	assert.Assert(t, errdefs.IsConflict(err), "%v", err)
	assert.NilError(t, os.Chmod(dir, 0o700))
	assert.NilError(t, lock.Unlock())
	_, err = Lock(filepath.Join(dir, "absent"))
	assert.Assert(t, errors.Is(err, fs.ErrNotExist))
}

// fullDisk lets nothing new be made.
type fullDisk struct{ FS }

func (fullDisk) Create(string, fs.FileMode) (File, error) { return nil, syscall.ENOSPC }
func (fullDisk) Rename(string, string) error              { return syscall.ENOSPC }

func TestOnAFullDiskRecordsCanBeRewrittenAndTreesRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	assert.NilError(t, WriteJSON(OS, path, map[string]string{"state": "running", "pid": "12345"}, 0o600))
	full := fullDisk{OS}
	var have map[string]string
	for _, want := range []map[string]string{{"state": "exited"}, {"state": strings.Repeat("a little longer ", 20)}} {
		for _, rewrite := range []func(FS, string, any, fs.FileMode) error{RewriteJSON, RewriteJSONUnsynced} {
			assert.NilError(t, rewrite(full, path, want, 0o600))
			have = nil
			assert.NilError(t, ReadJSON(OS, path, &have))
			assert.DeepEqual(t, have, want)
		}
	}
	assert.ErrorIs(t, RewriteJSON(full, path, strings.Repeat("x", 1<<20), 0o600), syscall.ENOSPC)
	assert.ErrorIs(t, RewriteJSON(full, filepath.Join(dir, "absent"), 1, 0o600), syscall.ENOSPC)
	assert.NilError(t, ReadJSON(OS, path, &have))
	assert.ErrorIs(t, WriteJSON(full, path, 1, 0o600), syscall.ENOSPC)
	assert.NilError(t, RemoveTree(full, dir))
	_, err := os.Stat(dir)
	assert.Assert(t, errors.Is(err, fs.ErrNotExist))
}

// TestDataComeBeforeTheirName where the file system does not see to it itself.
func TestDataComeBeforeTheirName(t *testing.T) {
	assert.Assert(t, !keepsOrder("/proc/self/record")) // as any that is not known to
	assert.Assert(t, !keepsOrder("/absent/record"))
}
