package images

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/jobs"
)

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, size string) string {
	if !isRoot() {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { assert.NilError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	assert.NilError(t, err)
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	assert.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
}

func TestAFullDiskStartsListsAndRemoves(t *testing.T) {
	dir := smallDisk(t, "4m")
	b := openBench(t, dir, vfs.New, nil)
	s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
	b.mustLoad(dockerArchive(t, s))
	_, err := b.Parent(ctx, s.id(t))
	assert.NilError(t, err)

	// An image that does not fit is refused, and nothing of it stays.
	before := b.files()
	big := spec{tags: []string{"big:1"}, layers: [][]byte{makeTar(t, entry{name: "big", body: strings.Repeat("x", 3<<20)})}}
	_, err = b.load(dockerArchive(t, big))
	assert.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
	assert.DeepEqual(t, b.files(), before)
	_, err = jobs.Import.Run(ctx, b.eng, jobs.ImportIn{Source: "-"}, nil, stdin(makeTar(t, entry{name: "big", body: strings.Repeat("x", 5<<20)})))
	assert.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
	assert.DeepEqual(t, b.files(), before)

	fill(t, dir)
	b = b.reopen(vfs.New)
	assert.Equal(t, b.log.String(), "")
	assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[web:1]"})
	_, err = b.Lookup(ctx, "web:1", "")
	assert.NilError(t, err)
	_, err = b.load(dockerArchive(t, big))
	assert.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
	_, err = b.rm(jobs.ImageDeleteIn{Image: "web:1"})
	assert.NilError(t, err)
	assert.Equal(t, len(b.graphIDs()), 0)
	assert.Equal(t, b.reopen(vfs.New).Count(), 0)
}

func TestAReadOnlyDataRootStartsAndLists(t *testing.T) {
	dir := smallDisk(t, "4m")
	b := openBench(t, dir, vfs.New, nil)
	s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
	b.mustLoad(dockerArchive(t, s))
	assert.NilError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	b = b.reopen(vfs.New)
	assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[web:1]"})
	_, err := b.rm(jobs.ImageDeleteIn{Image: "web:1"})
	assert.Assert(t, errors.Is(err, syscall.EROFS), "%v", err)
	assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[web:1]"})
}
