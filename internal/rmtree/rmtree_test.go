package rmtree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func TestPathRemovesTreeAndLeavesWhatLinksPointTo(t *testing.T) {
	dir := t.TempDir()
	keep := filepath.Join(dir, "keep")
	assert.NilError(t, os.WriteFile(keep, []byte("x"), 0o600))
	tree := filepath.Join(dir, "tree")
	assert.NilError(t, os.MkdirAll(filepath.Join(tree, "a/b"), 0o755))
	assert.NilError(t, os.Symlink(dir, filepath.Join(tree, "a/out")))
	assert.NilError(t, os.Symlink(keep, filepath.Join(tree, "a/b/out")))
	assert.NilError(t, os.Chmod(filepath.Join(tree, "a"), 0))

	assert.NilError(t, Path(tree))
	_, err := os.Lstat(tree)
	assert.Assert(t, os.IsNotExist(err))
	_, err = os.Stat(keep)
	assert.NilError(t, err)
}

func TestPathOfAbsentIsNoError(t *testing.T) {
	assert.NilError(t, Path(filepath.Join(t.TempDir(), "a")))
	assert.NilError(t, Path(filepath.Join(t.TempDir(), "a/b/c")))
}

func TestPathRemovesTreesDeeperThanPathMax(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	assert.NilError(t, err)
	for range 3000 {
		assert.NilError(t, unix.Mkdirat(fd, "deeper", 0o755))
		next, err := unix.Openat(fd, "deeper", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		assert.NilError(t, err)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	assert.NilError(t, Path(filepath.Join(dir, "deeper")))
	left, err := os.ReadDir(dir)
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0)
}

func TestPathClearsImmutableFlags(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("setting the immutable flag needs root")
	}
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	file := filepath.Join(tree, "file")
	assert.NilError(t, os.Mkdir(tree, 0o755))
	assert.NilError(t, os.WriteFile(file, nil, 0o600))
	for _, p := range []string{file, tree} {
		f, err := os.Open(p)
		assert.NilError(t, err)
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE)
		f.Close()
		if err != nil {
			t.Skipf("this file system has no immutable flag: %v", err)
		}
	}
	assert.NilError(t, Path(tree))
}
