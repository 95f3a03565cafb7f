package overlay2

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// smallDisk is a tmpfs of 1 MiB and some hundred files.
func smallDisk(t *testing.T) string {
	t.Helper()
	driver(t) // skips where there are no overlays
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=300"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { assert.NilError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill takes every byte and every file of a disk.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	assert.NilError(t, err)
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			break
		}
	}
	for i := 0; ; i++ {
		if os.WriteFile(filepath.Join(dir, fmt.Sprint("filler", i)), nil, 0o600) != nil {
			return
		}
	}
}

func bigLayer(t *testing.T, files, size int) *bytes.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := range files {
		assert.NilError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint("d/f", i), Mode: 0o644, Size: int64(size)}))
		_, err := w.Write(bytes.Repeat([]byte("x"), size))
		assert.NilError(t, err)
	}
	assert.NilError(t, w.Close())
	return bytes.NewReader(buf.Bytes())
}

func TestALayerThatFillsTheDiskIsToldAndRemoved(t *testing.T) {
	disk := smallDisk(t)
	d := driverAt(t, filepath.Join(disk, "home"))
	for _, layer := range []*bytes.Reader{bigLayer(t, 3, 1<<20), bigLayer(t, 1000, 1)} {
		assert.NilError(t, d.Create(t.Context(), "big", ""))
		_, err := d.ApplyDiff(t.Context(), "big", layer)
		assert.ErrorIs(t, err, unix.ENOSPC)
		assert.NilError(t, d.Remove(t.Context(), "big"))
	}
	entries, err := os.ReadDir(d.home)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 0)
}

func TestDriverStartsListsAndRemovesOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	home := filepath.Join(disk, "home")
	d := driverAt(t, home)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	_, err := d.ApplyDiff(t.Context(), "base", layerOf(t, "f"))
	assert.NilError(t, err)
	assert.NilError(t, d.Create(t.Context(), "next", "base"))
	_, err = d.ApplyDiff(t.Context(), "next", layerOf(t, "g"))
	assert.NilError(t, err)
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "next", nil))
	fill(t, disk)

	d = driverAt(t, home)
	ids, err := d.List(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, ids, []string{"base", "next", "rw"})
	assert.ErrorIs(t, d.CreateReadWrite(t.Context(), "more", "base", nil), unix.ENOSPC)
	assert.Assert(t, !d.Exists(t.Context(), "more"))
	dir, err := d.Get(t.Context(), "next")
	assert.NilError(t, err, "a read-only layer needs no space")
	names, err := os.ReadDir(dir)
	assert.NilError(t, err)
	assert.Equal(t, len(names), 2)
	assert.NilError(t, d.Put(t.Context(), "next"))
	for _, id := range []string{"rw", "next", "base"} {
		assert.NilError(t, d.Remove(t.Context(), id))
	}
	entries, err := os.ReadDir(home)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 0)
}

func TestDriverStartsOnAReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t)
	home := filepath.Join(disk, "home")
	d := driverAt(t, home)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.Create(t.Context(), "next", "base"))
	assert.NilError(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	d = driverAt(t, home)
	_, err := d.Get(t.Context(), "next")
	assert.NilError(t, err)
	assert.NilError(t, d.Put(t.Context(), "next"))
	assert.ErrorIs(t, d.Remove(t.Context(), "next"), unix.EROFS)
	assert.Assert(t, d.Exists(t.Context(), "next"))
}
