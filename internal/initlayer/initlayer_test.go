package initlayer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// isPopulated checks every place by a plain look.
func isPopulated(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"dev/pts", "dev/shm", "proc", "sys"} {
		st, err := os.Lstat(filepath.Join(dir, name))
		assert.NilError(t, err)
		assert.Assert(t, st.IsDir() && st.Mode().Perm() == 0o755, "%s is %v", name, st.Mode())
	}
	for _, name := range []string{".dockerenv", "dev/console"} {
		st, err := os.Lstat(filepath.Join(dir, name))
		assert.NilError(t, err)
		assert.Assert(t, st.Mode() == 0o755 && st.Size() == 0, "%s is %v", name, st.Mode())
	}
}

func TestPopulateFillsAnEmptyImage(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, Populate(dir))
	isPopulated(t, dir)
	target, err := os.Readlink(filepath.Join(dir, "etc/mtab"))
	assert.NilError(t, err)
	assert.Equal(t, target, "/proc/mounts")
	assert.NilError(t, Populate(dir), "a second time")
}

func TestPopulateKeepsTheImagesFolders(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, os.MkdirAll(filepath.Join(dir, "etc/hosts"), 0o700))
	assert.NilError(t, os.MkdirAll(filepath.Join(dir, "dev"), 0o711))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "etc/hostname"), []byte("image"), 0o600))
	assert.NilError(t, Populate(dir))
	isPopulated(t, dir)
	st, err := os.Stat(filepath.Join(dir, "etc/hosts"))
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o700))
	data, err := os.ReadFile(filepath.Join(dir, "etc/hostname"))
	assert.NilError(t, err)
	assert.Equal(t, string(data), "")
}

func TestPopulateFollowsLinksInsideTheRootOnly(t *testing.T) {
	top := t.TempDir()
	outside := filepath.Join(top, "outside")
	dir := filepath.Join(top, "root")
	assert.NilError(t, os.MkdirAll(filepath.Join(outside, "deep"), 0o755))
	assert.NilError(t, os.MkdirAll(filepath.Join(dir, "usr/etc"), 0o755))
	canary := filepath.Join(outside, "canary")
	assert.NilError(t, os.WriteFile(canary, []byte("alive"), 0o600))
	for name, target := range map[string]string{
		"etc": "/usr/etc", "dev": outside, "proc": outside, "sys": canary,
		"usr/etc/hosts": canary, "usr/etc/hostname": "../../../outside/new", "usr/etc/mtab": canary,
		".dockerenv": strings.Repeat("../", 20) + canary,
	} {
		assert.NilError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	assert.NilError(t, Populate(dir))
	isPopulated(t, dir)
	st, err := os.Lstat(filepath.Join(dir, "usr/etc/hosts"))
	assert.NilError(t, err)
	assert.Assert(t, st.Mode().IsRegular())
	entries, err := os.ReadDir(outside)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 2, "outside holds %v", entries)
	data, err := os.ReadFile(canary)
	assert.NilError(t, err)
	assert.Equal(t, string(data), "alive")
}
