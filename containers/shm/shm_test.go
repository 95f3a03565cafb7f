package shm

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func TestSharedMemoryIsMountedAndTakenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	path := filepath.Join(t.TempDir(), "a", "b")
	t.Cleanup(func() { _ = Unmount(path) })
	assert.NilError(t, Unmount(path), "what is not there")
	for range 2 { // the second finds what a killed daemon left
		assert.NilError(t, Mount(path, 1<<20))
		var st unix.Statfs_t
		assert.NilError(t, unix.Statfs(path, &st))
		assert.Equal(t, int64(st.Type), int64(unix.TMPFS_MAGIC))
		assert.Equal(t, int64(st.Blocks)*st.Bsize, int64(1<<20))
		for _, flag := range []int64{unix.ST_NODEV, unix.ST_NOEXEC, unix.ST_NOSUID} {
			assert.Assert(t, int64(st.Flags)&flag != 0)
		}
		info, err := os.Stat(path)
		assert.NilError(t, err)
		assert.Equal(t, info.Mode(), os.ModeDir|os.ModeSticky|0o777)
		assert.NilError(t, os.WriteFile(filepath.Join(path, "left"), nil, 0o600))
	}
	assert.NilError(t, Unmount(path))
	_, err := os.Lstat(path)
	assert.Assert(t, os.IsNotExist(err))
}
