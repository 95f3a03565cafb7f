package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
)

// dying is a graph driver whose calls begin to fail together with those of the
// file system, as when the process dies.
type dying struct {
	graphdriver.Driver
	fs *durable.Failing
}

// call lets one call of the file system stand for the driver's.
func (d dying) call() error {
	_, err := d.fs.Lstat("/")
	return err
}

func (d dying) Create(ctx context.Context, id, parent string) error {
	if err := d.call(); err != nil {
		return err
	}
	return d.Driver.Create(ctx, id, parent)
}

func (d dying) CreateReadWrite(ctx context.Context, id, parent string, opts map[string]string) error {
	if err := d.call(); err != nil {
		return err
	}
	return d.Driver.CreateReadWrite(ctx, id, parent, opts)
}

func (d dying) Remove(ctx context.Context, id string) error {
	if err := d.call(); err != nil {
		return err
	}
	return d.Driver.Remove(ctx, id)
}

func (d dying) ApplyDiff(ctx context.Context, id string, diff io.Reader) (int64, error) {
	if err := d.call(); err != nil {
		return 0, err
	}
	n, err := d.Driver.ApplyDiff(ctx, id, diff)
	if err == nil {
		err = d.call()
	}
	return n, err
}

func (d dying) Sync(context.Context, string) error { return d.call() }

func (d dying) List(ctx context.Context) ([]string, error) {
	if err := d.call(); err != nil {
		return nil, err
	}
	return d.Driver.(graphdriver.Lister).List(ctx)
}

// A verb is tried at every moment at which the process may die, or the disk be
// full for a while. What was acknowledged is there after the restart, what was
// not is there whole or not at all, and nothing is left that nobody owns.
func TestEveryVerbCanDieAnywhere(t *testing.T) {
	one := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "b")}}
	two := spec{tags: []string{"web:2"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "c")}}
	both := dockerArchive(t, one, two)
	moved := dockerArchive(t, spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "x")}})

	for _, verb := range []struct {
		name  string
		setup func(b *bench)
		run   func(b *bench) error
		// after gives what must be listed if the verb said that it succeeded.
		after []string
	}{
		{
			name:  "load two images",
			run:   func(b *bench) error { _, err := b.load(both); return err },
			after: []string{"[web:1]", "[web:2]"},
		},
		{
			name:  "load over a name",
			setup: func(b *bench) { b.mustLoad(both) },
			run:   func(b *bench) error { _, err := b.load(moved); return err },
			after: []string{"[]", "[web:1]", "[web:2]"},
		},
		{
			name:  "tag",
			setup: func(b *bench) { b.mustLoad(both) },
			run: func(b *bench) error {
				_, err := jobs.Tag.Run(ctx, b.eng, jobs.TagIn{Image: "web:1", Repository: "web", Tag: "2"})
				return err
			},
			after: []string{"[]", "[web:1 web:2]"},
		},
		{
			name:  "rmi",
			setup: func(b *bench) { b.mustLoad(both) },
			run:   func(b *bench) error { _, err := b.rm(jobs.ImageDeleteIn{Image: "web:1"}); return err },
			after: []string{"[web:2]"},
		},
		{
			name:  "a name that moved is removed",
			setup: func(b *bench) { b.mustLoad(both) },
			run: func(b *bench) error {
				if _, err := jobs.Tag.Run(ctx, b.eng, jobs.TagIn{Image: "web:1", Repository: "web", Tag: "2"}); err != nil {
					return err
				}
				_, err := b.rm(jobs.ImageDeleteIn{Image: "web:2"})
				return err
			},
			after: []string{"[]", "[web:1]"},
		},
		{
			name:  "init layer",
			setup: func(b *bench) { b.mustLoad(both) },
			run: func(b *bench) error {
				_, err := b.Parent(ctx, one.id(t))
				return err
			},
			after: []string{"[web:1]", "[web:2]"},
		},
		{
			name: "import",
			run: func(b *bench) error {
				in := jobs.ImportIn{Source: "-", Repository: "base"}
				_, err := jobs.Import.Run(ctx, b.eng, in, nil, stdin(layerTar(t, "a")))
				return err
			},
			after: []string{"[base:latest]"},
		},
	} {
		for _, way := range []string{"dies", "full disk"} {
			t.Run(verb.name+"/"+way, func(t *testing.T) {
				for n := 1; ; n++ {
					if n > 500 {
						t.Fatal("no end of calls")
					}
					root := memoryDir(t)
					b := openBench(t, root, vfs.New, nil)
					if verb.setup != nil {
						verb.setup(b)
					}
					before := listing(b)
					failing := durable.FailFrom(durable.OS, n, syscall.ENOSPC)
					if way == "full disk" {
						failing = durable.FailOnce(durable.OS, n, syscall.ENOSPC)
					}
					// What is open now uses the failing one from here on.
					b.FS, b.store.FS = failing, failing
					b.store.Graph = dying{b.Graph, failing}
					err := verb.run(b)
					if err != nil {
						assert.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
					}
					if way == "full disk" {
						// The daemon lives on, and has not lost its mind.
						b.FS, b.store.FS = durable.OS, durable.OS
						b.store.Graph = b.Graph
						checkWhole(t, b, fmt.Sprintf("call %d, alive", n))
						if err == nil {
							assert.DeepEqual(t, listing(b), verb.after)
						}
					}
					next := b.reopen(vfs.New)
					checkWhole(t, next, fmt.Sprintf("call %d", n))
					checkNothingUnowned(t, next, fmt.Sprintf("call %d", n))
					after := listing(next)
					if err == nil {
						assert.DeepEqual(t, after, verb.after)
					} else if !slices.Equal(after, before) && !slices.Equal(after, verb.after) {
						// In between: only verbs of two steps can be there.
						assert.Assert(t, strings.Contains(verb.name, "two") || strings.Contains(verb.name, "moved"), "call %d: %v", n, after)
					}
					if !failing.Failed() {
						assert.NilError(t, err)
						return
					}
				}
			})
		}
	}
}

func listing(b *bench) []string {
	rows := b.list(jobs.ImagesIn{All: true})
	slices.Sort(rows)
	return rows
}

// checkWhole reads every file of every listed image.
func checkWhole(t *testing.T, b *bench, when string) {
	t.Helper()
	for _, img := range b.store.Snapshot().Images {
		assert.NilError(t, img.Damage, "%s", when)
		layers := b.store.Layers(img)
		assert.Equal(t, len(layers), len(img.Chain), when)
		for _, l := range layers {
			dir, err := b.Graph.Get(ctx, l.GraphID)
			assert.NilError(t, err, when)
			entries, err := os.ReadDir(dir)
			assert.NilError(t, err, when)
			assert.Assert(t, len(entries) > 0, "%s: layer %s is hollow", when, l.Chain)
			assert.NilError(t, b.Graph.Put(ctx, l.GraphID))
		}
	}
}

// checkNothingUnowned compares what is on the disk with what is listed.
func checkNothingUnowned(t *testing.T, b *bench, when string) {
	t.Helper()
	owned := map[string]bool{}
	chains := map[string]bool{}
	for _, img := range b.store.Snapshot().Images {
		for _, l := range b.store.Layers(img) {
			owned[l.GraphID] = true
			chains[l.Chain.Encoded()] = true
		}
	}
	for _, id := range b.graphIDs() {
		assert.Assert(t, owned[id] || strings.HasPrefix(id, "i-") && hasInit(b, id), "%s: graph layer %s is nobody's", when, id)
	}
	for dir, allowed := range map[string]func(string) bool{
		"tmp":     func(string) bool { return false },
		"layers":  func(name string) bool { return chains[name] },
		"configs": func(name string) bool { return b.store.Snapshot().ByID(idOf(name)) != nil },
		"inits":   func(name string) bool { return chains[strings.TrimSuffix(name, ".json")] },
	} {
		entries, err := os.ReadDir(filepath.Join(b.root, "images", "test", dir))
		assert.NilError(t, err)
		for _, e := range entries {
			assert.Assert(t, allowed(e.Name()), "%s: %s/%s is nobody's", when, dir, e.Name())
		}
	}
}

func hasInit(b *bench, graphID string) bool {
	entries, _ := os.ReadDir(filepath.Join(b.root, "images", "test", "inits"))
	for _, e := range entries {
		data, _ := os.ReadFile(filepath.Join(b.root, "images", "test", "inits", e.Name()))
		if bytes.Contains(data, []byte(graphID)) {
			return true
		}
	}
	return false
}

// One record after the other is damaged in every way. The daemon starts, lists
// the other image as before, says what is wrong, and what is damaged can be
// removed and brought in again.
func TestDamageStaysWhereItIs(t *testing.T) {
	bad := spec{tags: []string{"bad:1"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "b")}}
	good := spec{tags: []string{"good:1"}, layers: [][]byte{layerTar(t, "z")}}
	hex := strings.TrimPrefix(bad.id(t), "sha256:")
	files := map[string]string{
		"config":       "images/test/configs/" + hex + "/config.json",
		"image record": "images/test/configs/" + hex + "/image.json",
		"lower layer":  "images/test/layers/" + digestHex(bad.layers[0]) + "/layer.json",
	}
	ways := map[string]func(t *testing.T, path string){
		"empty":     func(t *testing.T, path string) { assert.NilError(t, os.Truncate(path, 0)) },
		"truncated": func(t *testing.T, path string) { assert.NilError(t, os.Truncate(path, 20)) },
		"garbage": func(t *testing.T, path string) {
			assert.NilError(t, os.WriteFile(path, bytes.Repeat([]byte{0xff, 0}, 300), 0o600))
		},
		"padded": func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			assert.NilError(t, err)
			assert.NilError(t, os.WriteFile(path, append(data, make([]byte, 64)...), 0o600))
		},
		"missing": func(t *testing.T, path string) { assert.NilError(t, os.Remove(path)) },
		"a fifo": func(t *testing.T, path string) {
			assert.NilError(t, os.Remove(path))
			assert.NilError(t, syscall.Mkfifo(path, 0o600))
		},
		"a folder": func(t *testing.T, path string) {
			assert.NilError(t, os.Remove(path))
			assert.NilError(t, os.Mkdir(path, 0o700))
		},
	}
	for what, file := range files {
		for how, damage := range ways {
			t.Run(what+" "+how, func(t *testing.T) {
				b := newBench(t)
				b.mustLoad(dockerArchive(t, bad, good))
				damage(t, filepath.Join(b.root, file))

				b = b.reopen(vfs.New)
				assert.Equal(t, b.Count(), 2)
				_, err := b.Lookup(ctx, "good:1", "")
				assert.NilError(t, err)
				_, err = b.Parent(ctx, good.id(t))
				assert.NilError(t, err)
				assert.Assert(t, strings.Contains(b.log.String(), bad.id(t)), "the log does not name the image: %s", b.log)

				img, err := b.find(bad.id(t))
				assert.NilError(t, err)
				if what != "image record" {
					assert.Assert(t, img.Damage != nil)
					_, err = b.Lookup(ctx, bad.id(t), "")
					assert.ErrorContains(t, err, "is damaged")
					_, err = b.Parent(ctx, bad.id(t))
					assert.ErrorContains(t, err, "is damaged")
				}
				if how == "garbage" { // removed
					_, err = b.rm(jobs.ImageDeleteIn{Image: bad.id(t)})
					assert.NilError(t, err)
					assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[good:1]"})
				} else { // repaired
					b.mustLoad(dockerArchive(t, bad))
				}
				b = b.reopen(vfs.New)
				assert.Equal(t, b.log.String(), "")
				checkWhole(t, b, "afterwards")
				if how != "garbage" {
					_, err = b.Lookup(ctx, "bad:1", "")
					assert.NilError(t, err)
				}
				_, err = b.rm(jobs.ImageDeleteIn{Image: good.id(t), Force: true})
				assert.NilError(t, err)
				if b.store.Snapshot().ByID(idOf(hex)) != nil {
					_, err = b.rm(jobs.ImageDeleteIn{Image: bad.id(t), Force: true})
					assert.NilError(t, err)
				}
				b = b.reopen(vfs.New)
				assert.Equal(t, len(b.graphIDs()), 0, "%v", b.graphIDs())
			})
		}
	}
}

func TestFilesOfALayerThatAreGoneAreNoticed(t *testing.T) {
	b := newBench(t)
	s := spec{tags: []string{"bad:1"}, layers: [][]byte{layerTar(t, "a")}}
	b.mustLoad(dockerArchive(t, s))
	assert.NilError(t, os.RemoveAll(filepath.Join(b.root, "graph", b.graphIDs()[0])))
	b = b.reopen(vfs.New)
	_, err := b.Lookup(ctx, "bad:1", "")
	assert.ErrorContains(t, err, "is damaged")
	b.mustLoad(dockerArchive(t, s))
	_, err = b.Lookup(ctx, "bad:1", "")
	assert.NilError(t, err)
}

func TestAnImageIsWellAgainWhenAnotherBringsItsLayerBack(t *testing.T) {
	b := newBench(t)
	base := layerTar(t, "base")
	b.mustLoad(dockerArchive(t, spec{tags: []string{"one:1"}, layers: [][]byte{base}}, spec{tags: []string{"two:1"}, layers: [][]byte{base}, arch: "arm64"}))
	assert.NilError(t, os.RemoveAll(filepath.Join(b.root, "images/test/layers", digestHex(base))))
	b = b.reopen(vfs.New)
	_, err := b.Lookup(ctx, "two:1", "")
	assert.ErrorContains(t, err, "is damaged")
	b.mustLoad(dockerArchive(t, spec{tags: []string{"one:1"}, layers: [][]byte{base}}))
	for _, b := range []*bench{b, b.reopen(vfs.New)} {
		for _, name := range []string{"one:1", "two:1"} {
			_, err := b.Lookup(ctx, name, "")
			assert.NilError(t, err)
		}
		checkWhole(t, b, "")
		checkNothingUnowned(t, b, "")
	}
	_, err = b.rm(jobs.ImageDeleteIn{Image: "one:1"})
	assert.NilError(t, err)
	checkWhole(t, b, "")
}

func TestRemovingADamagedImageTakesNoLayerFromAGoodOne(t *testing.T) {
	b := newBench(t)
	base := layerTar(t, "base")
	bad, good := spec{tags: []string{"bad:1"}, layers: [][]byte{base}}, spec{tags: []string{"good:1"}, layers: [][]byte{base}, arch: "arm64"}
	b.mustLoad(dockerArchive(t, bad))
	hex := strings.TrimPrefix(bad.id(t), "sha256:")
	assert.NilError(t, os.Truncate(filepath.Join(b.root, "images/test/configs", hex, "config.json"), 0))
	assert.NilError(t, os.RemoveAll(filepath.Join(b.root, "images/test/layers", digestHex(base))))
	b = b.reopen(vfs.New)
	b.mustLoad(dockerArchive(t, good))
	_, err := b.rm(jobs.ImageDeleteIn{Image: "bad:1"})
	assert.NilError(t, err)
	for _, b := range []*bench{b, b.reopen(vfs.New)} {
		_, err = b.Lookup(ctx, "good:1", "")
		assert.NilError(t, err)
		checkWhole(t, b, "")
	}
}

func TestAnImageWithoutLayers(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, nil)
			s := spec{tags: []string{"scratch:1"}}
			b.mustLoad(dockerArchive(t, s))
			layer, err := b.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			assert.NilError(t, b.Graph.CreateReadWrite(ctx, "container", layer, nil))
			assert.NilError(t, b.Graph.Remove(ctx, "container"))
			b = b.reopen(open)
			again, err := b.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			assert.Equal(t, again, layer)
			_, err = b.rm(jobs.ImageDeleteIn{Image: "scratch:1"})
			assert.NilError(t, err)
			assert.Equal(t, len(b.graphIDs()), 0)
		})
	}
}
