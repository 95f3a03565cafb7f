package cgroupdir

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

func TestOnlyAnEmptyCgroupIsRemoved(t *testing.T) {
	roots := hierarchies("/sys/fs/cgroup")
	if os.Geteuid() != 0 || len(roots) == 0 {
		t.Skip("needs root and cgroups")
	}
	name := "engine-cgroupdir-test"
	inner := filepath.Join(roots[0], name, "inner")
	assert.NilError(t, os.MkdirAll(inner, 0o755))
	defer func() { os.Remove(inner); os.Remove(filepath.Dir(inner)) }()
	assert.Check(t, Exists("/"+name))
	assert.NilError(t, RemoveEmpty(name))
	assert.Check(t, Exists(name), "it has a cgroup in it")
	assert.NilError(t, os.Remove(inner))
	assert.NilError(t, RemoveEmpty("/"+name))
	assert.Check(t, !Exists(name))
	assert.NilError(t, RemoveEmpty("/"), "the root is left alone")
}

func TestAFolderWithoutCgroupsHasNoHierarchies(t *testing.T) {
	assert.Equal(t, len(hierarchies(t.TempDir())), 0)
}
