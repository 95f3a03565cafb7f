package images

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/jobs"
)

// age makes an image look as if it had been used last so long ago.
func (b *bench) age(ref string, ago time.Duration) digest.Digest {
	b.t.Helper()
	img, err := b.find(ref)
	assert.NilError(b.t, err)
	at := time.Now().Add(-ago)
	assert.NilError(b.t, os.Chtimes(filepath.Join(b.root, "images", "test", "configs", img.ID.Encoded(), "image.json"), at, at))
	return img.ID
}

// kept puts a broken download there.
func (b *bench) kept(name string, bytes int, ago time.Duration) string {
	b.t.Helper()
	path := filepath.Join(b.root, "images", "test", "blobs", digest.FromString(name).Encoded())
	assert.NilError(b.t, os.WriteFile(path, make([]byte, bytes), 0o600))
	at := time.Now().Add(-ago)
	assert.NilError(b.t, os.Chtimes(path, at, at))
	return path
}

func there(path string) bool { _, err := os.Stat(path); return err == nil }

// fat is an image with a layer of so many bytes.
func fat(t *testing.T, name string, bytes int, below ...[]byte) spec {
	s := spec{layers: append(below, makeTar(t, entry{name: "f" + name, body: strings.Repeat("x", bytes)}))}
	if name != "" && !strings.HasPrefix(name, "-") {
		s.tags = []string{name + ":1"}
	}
	return s
}

func TestGarbageGoesInOrder(t *testing.T) {
	b := newBench(t)
	b.mustLoad(dockerArchive(t, fat(t, "tagged", 1000), fat(t, "old", 1000), fat(t, "older", 1000)))
	b.mustLoad(dockerArchive(t, fat(t, "-one", 1000))) // without a name
	b.mustLoad(dockerArchive(t, fat(t, "-two", 1000)))
	var unnamed []digest.Digest
	for _, img := range b.store.Snapshot().Images {
		if len(img.Names) == 0 {
			unnamed = append(unnamed, img.ID)
		}
	}
	assert.Equal(t, len(unnamed), 2)
	b.age("tagged:1", 5*time.Hour)
	b.age("old:1", 6*time.Hour)
	b.age("older:1", 7*time.Hour)
	b.age(unnamed[0].String(), 2*time.Hour)
	b.age(unnamed[1].String(), 3*time.Hour)
	young, old := b.kept("young", 500, time.Minute), b.kept("old", 500, time.Hour)

	standard := DefaultGC()
	collect := func(most int64, unused bool) []string {
		limits := standard
		limits.MaxBytes, limits.Unused = most, unused
		b.collectOnce(limits)
		var left []string
		for _, img := range b.store.Snapshot().Images {
			left = append(left, nameOf(img))
		}
		slices.Sort(left)
		return left
	}
	all := collect(0, true)
	assert.Equal(t, len(all), 5)
	assert.Equal(t, b.log.String(), "") // no limit: nothing goes

	collect(5700, true)
	assert.Assert(t, !there(old) && there(young))
	collect(5200, true)
	assert.Assert(t, !there(young))
	assert.Equal(t, len(collect(5000, true)), 5) // as much as may be

	// Images without a name, the one first that was not used for longest.
	left := collect(4999, false)
	assert.Equal(t, len(left), 4)
	assert.Assert(t, !slices.Contains(left, shortID(unnamed[1].String())))
	assert.DeepEqual(t, collect(1, false), []string{"old:1", "older:1", "tagged:1"}) // names stay
	assert.Assert(t, strings.Contains(b.log.String(), "nothing more of them may go"), b.log)
	assert.Equal(t, strings.Count(b.log.String(), "nothing more"), 1)
	collect(1, false)
	assert.Equal(t, strings.Count(b.log.String(), "nothing more"), 1) // once is enough

	assert.DeepEqual(t, collect(2500, true), []string{"old:1", "tagged:1"})
	assert.DeepEqual(t, collect(1000, true), []string{"tagged:1"})
	assert.Assert(t, strings.Contains(b.log.String(), "gc: 1kB freed: 0 broken downloads, 1 images (older:1)"), b.log)
	assert.Equal(t, b.store.LayersBytes(), int64(1000))

	// After a restart it is the same.
	again := b.reopen(vfs.New)
	assert.DeepEqual(t, again.list(jobs.ImagesIn{}), []string{"[tagged:1]"})
}

func TestGarbageIsNotWhatSomebodyNeeds(t *testing.T) {
	b := newBench(t)
	base := makeTar(t, entry{name: "base", body: strings.Repeat("y", 3000)})
	b.mustLoad(dockerArchive(t, fat(t, "used", 1000, base), fat(t, "young", 1000), fat(t, "parent", 1000), spec{tags: []string{"same:1"}, layers: [][]byte{base}}))
	child := b.child("parent:1", fat(t, "child", 100))
	for _, ref := range []string{"used:1", "parent:1", "same:1", child} {
		b.age(ref, 5*time.Hour)
	}
	used, err := b.find("used:1")
	assert.NilError(t, err)
	b.users.set(used.ID.String(), Use{ID: "one"})
	parent, err := b.find("parent:1")
	assert.NilError(t, err)

	limits := DefaultGC()
	limits.MaxBytes, limits.Unused = 1, true
	b.users.set(child, Use{ID: "two"})
	b.collectOnce(limits)
	// same:1 stays because it would free nothing: its one layer is in used:1 too.
	assert.Equal(t, len(b.store.Snapshot().Images), 5)

	// Without a container the child goes, and then its parent.
	b.users.set(child)
	b.age(child, 5*time.Hour)
	b.collectOnce(limits)
	assert.Assert(t, b.store.Snapshot().ByID(parent.ID) == nil)
	var left []string
	for _, img := range b.store.Snapshot().Images {
		left = append(left, nameOf(img))
	}
	slices.Sort(left)
	assert.DeepEqual(t, left, []string{"same:1", "used:1", "young:1"})

	// When the container goes, its image was in use until now.
	b.SetGC(limits)
	b.StartGC()
	b.background.Wait()
	b.age("used:1", 5*time.Hour)
	b.users.set(used.ID.String())
	b.ContainerRemoved("used:1")
	b.background.Wait()
	assert.Assert(t, b.store.Snapshot().ByID(used.ID) != nil)
	limits.KeepFor = 0
	b.SetGC(limits)
	b.background.Wait()
	assert.Equal(t, len(b.store.Snapshot().Images), 0)
	assert.NilError(t, b.Close())
}

// Before all containers are known nothing is collected.
func TestNoGarbageBeforeTheContainersAreThere(t *testing.T) {
	b := newBench(t)
	b.SetGC(GC{MaxBytes: 1, Unused: true})
	b.mustLoad(dockerArchive(t, fat(t, "a", 1000)))
	b.background.Wait()
	assert.Equal(t, len(b.store.Snapshot().Images), 1)
	b.StartGC()
	b.background.Wait()
	assert.Equal(t, len(b.store.Snapshot().Images), 0)
	assert.NilError(t, b.Close())
}

func TestBrokenDownloadsGetOld(t *testing.T) {
	b := newBench(t)
	young, old := b.kept("young", 500, 6*24*time.Hour), b.kept("old", 500, 8*24*time.Hour)
	b.StartGC()
	b.background.Wait()
	assert.Assert(t, there(young) && !there(old))
	assert.NilError(t, b.Close())
}

// Containers are made of an image while the collector wants it: whoever has found
// it gets its layers, whoever has not is told that it is not there.
func TestWhoFindsAnImageCanUseIt(t *testing.T) {
	b := newBench(t)
	archive := dockerArchive(t, fat(t, "a", 1000))
	limits := GC{MaxBytes: 1, Unused: true}
	var found, missed atomic.Int64
	for round := range 40 {
		b.mustLoad(archive)
		b.gc.mu.Lock()
		b.gc.used = nil // as if long ago
		b.gc.mu.Unlock()
		id := b.age("a:1", time.Hour).String()
		var all sync.WaitGroup
		all.Go(func() { b.collectOnce(limits) })
		if round%2 == 0 {
			all.Go(func() { b.collectOnce(limits) })
			all.Go(func() { _, err := b.load(archive); assert.Check(t, err) })
		}
		for range 3 {
			all.Go(func() {
				img, err := b.Lookup(context.Background(), "a:1", "")
				if err != nil {
					assert.Check(t, errdefs.IsNotFound(err), "%v", err)
					missed.Add(1)
					return
				}
				b.users.set(img.ID, Use{ID: "x"})
				_, err = b.Parent(context.Background(), img.ID)
				assert.Check(t, err)
				found.Add(1)
			})
		}
		all.Wait()
		for _, img := range b.store.Snapshot().Images {
			assert.NilError(t, usable(img))
			for _, l := range b.store.Layers(img) {
				assert.Assert(t, b.Graph.Exists(context.Background(), l.GraphID))
			}
		}
		faults, err := b.store.Check(context.Background())
		assert.NilError(t, err)
		assert.Equal(t, len(faults), 0, "%v", faults)
		b.users.set(id)
	}
	t.Logf("found %d times, missed %d times", found.Load(), missed.Load())
}
