package cgroupbound

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/cgroupdir"
)

func TestHalfOfTheLeastBound(t *testing.T) {
	assert.Equal(t, half(32768, 192730, 0), int64(16384))
	assert.Equal(t, half(4194304, 192730, 500), int64(250))
	assert.Equal(t, half(0, 0), int64(0))
	assert.Check(t, DefaultPids() > 0)
}

func TestTheOwnGroupIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cgroup")
	assert.NilError(t, os.WriteFile(file, []byte("8:pids:/a\n4:memory:/b\n0::/c\n"), 0o600))
	assert.Equal(t, ownPath(file, "pids"), "/a")
	assert.Equal(t, ownPath(file, "cpu"), "/c")
	assert.Equal(t, ownPath("/nowhere", "pids"), "/")
}

func TestAGroupIsBoundAndAForeignBoundKept(t *testing.T) {
	const name = "/engine-cgroupbound-test"
	dir, err := folder(root, "pids", name)
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root and the pids controller")
	}
	defer func() { assert.NilError(t, cgroupdir.RemoveEmpty(name)) }()
	now := func() int64 { return number(filepath.Join(dir, "pids.max")) }
	assert.NilError(t, Pids(name, 500, false))
	assert.Equal(t, now(), int64(500))
	assert.NilError(t, Pids(name, 600, false))
	assert.Equal(t, now(), int64(500), "it is lower, and may be somebody else's")
	assert.NilError(t, Pids(name, 600, true))
	assert.Equal(t, now(), int64(600))
	assert.NilError(t, Pids(name, 0, true))
	assert.Equal(t, now(), int64(0))
}
