package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
)

func (b *bench) save(names ...string) ([]byte, error) {
	var out bytes.Buffer
	_, err := jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: names}, nil, engine.Stdout(&out))
	return out.Bytes(), err
}

// blobs gives the members of an archive.
func blobs(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return all
		}
		assert.NilError(t, err)
		assert.Assert(t, all[h.Name] == nil, "%s is there twice", h.Name)
		all[h.Name], err = io.ReadAll(tr)
		assert.NilError(t, err)
	}
}

// What goes in comes out, with every driver and from every kind of archive, and
// what the tree cannot give back is there, too.
func TestSaveGivesBackWhatWasLoaded(t *testing.T) {
	base := layerTar(t, "shared")
	twice := makeTar(t, entry{name: "a", body: "first"}, entry{name: "b", body: "b"}, entry{name: "a", body: "second"})
	link := makeTar(t, entry{name: "d/", body: ""}, entry{name: "l", link: "d", kind: tar.TypeSymlink}, entry{name: "l/f", body: "through the link"})
	padded := append(layerTar(t, "p", "q"), make([]byte, 9<<10)...)
	sparse, err := os.ReadFile("tarsplit/testdata/sparse.tar")
	assert.NilError(t, err)
	one := spec{tags: []string{"one:1", "one:2"}, layers: [][]byte{base, twice, padded}}
	two := spec{tags: []string{"two:1"}, layers: [][]byte{base, link, sparse, make([]byte, 1024)}}
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, nil)
			b.mustLoad(gz(dockerArchive(t, one, two)))
			for _, b := range []*bench{b, b.reopen(open)} {
				archive, err := b.save("one", "two:1")
				assert.NilError(t, err)
				got := blobs(t, archive)
				for _, layer := range slices.Concat(one.layers, two.layers) {
					assert.Assert(t, bytes.Equal(got["blobs/sha256/"+digestHex(layer)], layer))
				}
				other := openBench(t, t.TempDir(), open, nil)
				other.mustLoad(archive)
				assert.DeepEqual(t, other.list(jobs.ImagesIn{}), b.list(jobs.ImagesIn{}))
				again, err := other.save("one", "two:1")
				assert.NilError(t, err)
				assert.Assert(t, bytes.Equal(again, archive))
			}
		})
	}
}

func TestSaveFindsImagesAsDockerDoes(t *testing.T) {
	b := newBench(t)
	one, two := spec{tags: []string{"one:1", "one:2", "host/one:3"}, layers: [][]byte{layerTar(t, "a")}}, spec{layers: [][]byte{layerTar(t, "b")}}
	b.mustLoad(dockerArchive(t, one, two))
	b.events.take()
	id := strings.TrimPrefix(two.id(t), "sha256:")
	for _, row := range []struct {
		names []string
		tags  string // of all images, as manifest.json has them
		fault string
	}{
		{names: []string{"one"}, tags: `["one:1","one:2"]`},
		{names: []string{"one:2"}, tags: `["one:2"]`},
		{names: []string{"one:2", "docker.io/library/one:2", "one:1"}, tags: `["one:2","one:1"]`},
		{names: []string{one.id(t)}, tags: `null`},
		{names: []string{id}, tags: `null`},
		{names: []string{id[:12]}, tags: `null`},
		{names: []string{"sha256:" + id[:12]}, tags: `null`},
		{names: []string{id, "one"}, tags: `null ["one:1","one:2"]`},
		{names: nil, tags: ""},
		{names: []string{"nosuch"}, fault: "No such image: nosuch"},
		{names: []string{"one", "nosuch:x"}, fault: "reference does not exist"},
		{names: []string{"one@sha256:" + id}, fault: "reference does not exist"},
		{names: []string{"sha256:" + strings.Repeat("0", 64)}, fault: "No such image: sha256:" + strings.Repeat("0", 64)},
	} {
		archive, err := b.save(row.names...)
		if row.fault != "" {
			assert.Error(t, err, row.fault)
			assert.Assert(t, errdefs.IsNotFound(err))
			assert.Equal(t, len(archive), 0)
			continue
		}
		assert.NilError(t, err, "%v", row.names)
		var tags []string
		for _, part := range strings.Split(string(blobs(t, archive)["manifest.json"]), `"RepoTags":`)[1:] {
			end := strings.Index(part, `,"Layers"`)
			tags = append(tags, part[:end])
		}
		assert.Equal(t, strings.Join(tags, " "), row.tags, "%v", row.names)
	}
	for _, name := range []string{"", "Bad", "a b"} {
		_, err := b.save(name)
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%q: %v", name, err)
	}
	b.events.take()
	_, err := b.save("one")
	assert.NilError(t, err)
	assert.DeepEqual(t, b.events.take(), []string{"image save " + one.id(t)})
}

func TestSaveRefusesOtherPlatforms(t *testing.T) {
	b := newBench(t)
	b.mustLoad(dockerArchive(t, spec{tags: []string{"arm:1"}, arch: "arm64", layers: [][]byte{layerTar(t, "a")}}))
	_, err := jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: []string{"arm:1"}, Platforms: []string{"linux/arm64"}}, nil, engine.Stdout(io.Discard))
	assert.NilError(t, err)
	_, err = jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: []string{"arm:1"}, Platforms: []string{"linux/arm64", "linux/amd64"}}, nil, engine.Stdout(io.Discard))
	assert.Assert(t, errdefs.IsNotFound(err), "%v", err)
	_, err = jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: []string{"arm:1"}, Platforms: []string{"linux/amd64"}}, nil, engine.Stdout(io.Discard))
	assert.Assert(t, errdefs.IsNotFound(err), "%v", err)
	_, err = jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: []string{"arm:1"}, Platforms: []string{"no sense"}}, nil, engine.Stdout(io.Discard))
	assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
}

// A layer of a former version has no form of its tar. It is made again where the
// files give the same tar, refused where they do not, and learned from a load.
func TestLayersOfOldAreMadeAgainOrRefused(t *testing.T) {
	b := newBench(t)
	foreign := spec{tags: []string{"foreign:1"}, layers: [][]byte{layerTar(t, "b", "a")}}
	b.mustLoad(dockerArchive(t, foreign))
	b.mustImport(layerTar(t, "x"), "own", "1")
	diff, err := b.Graph.Diff(ctx, b.graphIDs()[0])
	assert.NilError(t, err)
	canonical, err := io.ReadAll(diff)
	assert.NilError(t, errors.Join(err, diff.Close()))
	own := spec{tags: []string{"canonical:1"}, layers: [][]byte{canonical}}
	b.mustLoad(dockerArchive(t, own))

	forget(t, b.root)
	old := b.reopen(drivers(t)["vfs"])
	archive, err := old.save("canonical:1")
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(blobs(t, archive)["blobs/sha256/"+digestHex(canonical)], canonical))

	archive, err = old.save("foreign:1")
	assert.Assert(t, errdefs.IsDataLoss(err), "%v", err)
	assert.Assert(t, strings.Contains(err.Error(), "load an image that has it"), "%v", err)
	assert.Equal(t, len(archive), 0)
	old.mustLoad(dockerArchive(t, foreign))
	archive, err = old.save("foreign:1")
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(blobs(t, archive)["blobs/sha256/"+digestHex(foreign.layers[0])], foreign.layers[0]))
	assert.Equal(t, old.log.String(), "")

	// Lost, cut off or damaged, it is told and learned again.
	for _, spoil := range []func(string) error{os.Remove, func(p string) error { return os.Truncate(p, 30) }} {
		spoilt := 0
		each(t, b.root, func(path string) {
			if filepath.Base(path) == "tar.index" {
				assert.NilError(t, spoil(path))
				spoilt++
			}
		})
		assert.Assert(t, spoilt > 0)
		now := b.reopen(drivers(t)["vfs"])
		_, err = now.save("foreign:1")
		assert.Assert(t, errdefs.IsDataLoss(err), "%v", err)
		now.mustLoad(dockerArchive(t, foreign))
		archive, err = now.save("foreign:1")
		assert.NilError(t, err)
		assert.Assert(t, bytes.Equal(blobs(t, archive)["blobs/sha256/"+digestHex(foreign.layers[0])], foreign.layers[0]))
	}
}

// forget takes a data root back to what a version before tars were kept has written.
func forget(t *testing.T, root string) {
	t.Helper()
	each(t, root, func(path string) {
		switch filepath.Base(path) {
		case "tar.index", "tar.whole":
			assert.NilError(t, os.Remove(path))
		case "layer.json":
			if !strings.Contains(path, "images") {
				return
			}
			data, err := os.ReadFile(path)
			assert.NilError(t, err)
			var lines []string
			for _, line := range strings.Split(string(data), "\n") {
				if !strings.Contains(line, `"Tar`) {
					lines = append(lines, line)
				}
			}
			text := strings.Replace(strings.Join(lines, "\n"), ",\n}", "\n}", 1)
			assert.NilError(t, durable.WriteFile(durable.OS, path, []byte(text), 0o600))
		}
	})
}

func each(t *testing.T, root string, f func(path string)) {
	t.Helper()
	assert.NilError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			f(path)
		}
		return err
	}))
}

// An import whose tar its tree cannot give back is the tree's own tar from then on.
func TestAnImportThatReplacesItsOwnFilesCanBeSaved(t *testing.T) {
	b := newBench(t)
	twice := makeTar(t, entry{name: "a", body: "first"}, entry{name: "a", body: "second"})
	id := b.mustImport(twice, "odd", "1")
	archive, err := b.save("odd")
	assert.NilError(t, err)
	other := newBench(t)
	other.mustLoad(archive)
	got, err := jobs.ImageInspect.Run(ctx, other.eng, jobs.ImageInspectIn{Image: "odd:1"})
	assert.NilError(t, err)
	assert.Equal(t, got.ID, id)
}

func TestAClientThatLeavesASaveFreesTheImage(t *testing.T) {
	b := newBench(t)
	b.mustLoad(dockerArchive(t, spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}))
	gone := errors.New("gone")
	_, err := jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: []string{"web"}}, nil, engine.Stdout(broken{gone}))
	assert.ErrorIs(t, err, gone)
	_, err = b.rm(jobs.ImageDeleteIn{Image: "web:1"})
	assert.NilError(t, err)
	assert.Equal(t, len(b.graphIDs()), 0)
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func commitSpec(image string) CommitSpec {
	return CommitSpec{ImageID: image, Container: &container.Config{Cmd: []string{"sh", "-c", "x"}, Env: []string{"A=1"}}}
}

func TestCommitFollowsDockersRules(t *testing.T) {
	b := newBench(t)
	base := spec{tags: []string{"base:1"}, layers: [][]byte{layerTar(t, "a")}}
	b.mustLoad(dockerArchive(t, base))
	b.events.take()
	layer := layerTar(t, "b")
	c := commitSpec(base.id(t))
	c.Author, c.Comment, c.Repository, c.Tag, c.Changes = "me", "why", "made", "v1", []string{"ENV B=2", "CMD y"}
	id, name, err := b.Commit(ctx, c, bytes.NewReader(layer))
	assert.NilError(t, err)
	assert.Equal(t, name, "made:v1")
	assert.DeepEqual(t, b.events.take(), []string{"image create " + id, "image tag made:v1"})
	for _, b := range []*bench{b, b.reopen(drivers(t)["vfs"])} {
		got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "made:v1"})
		assert.NilError(t, err)
		assert.Equal(t, got.ID, id)
		assert.Equal(t, got.ParentID, base.id(t))
		assert.DeepEqual(t, got.RootFS.Layers, []string{"sha256:" + digestHex(base.layers[0]), "sha256:" + digestHex(layer)})
		assert.DeepEqual(t, got.Config.Env, []string{"A=1", "B=2"})
		assert.DeepEqual(t, got.Config.Cmd, []string{"/bin/sh", "-c", "y"})
		assert.Equal(t, got.Author+" "+got.Comment+" "+got.Architecture, "me why amd64")
		h, err := jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "made:v1"})
		assert.NilError(t, err)
		assert.Equal(t, h.Items[0].CreatedBy, "sh -c x")
	}

	// A container that changed nothing adds no layer, and its tar none that stays.
	layers := len(b.graphIDs())
	same := commitSpec(base.id(t))
	id, name, err = b.Commit(ctx, same, bytes.NewReader(make([]byte, 1024)))
	assert.NilError(t, err)
	assert.Equal(t, name, "")
	got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: id})
	assert.NilError(t, err)
	assert.Equal(t, len(got.RootFS.Layers), 1)
	assert.Equal(t, len(b.graphIDs()), layers)

	// What fails leaves nothing.
	before := b.files()
	for name, row := range map[string]struct {
		change func(*CommitSpec)
		is     func(error) bool
	}{
		"an instruction that is none": {func(c *CommitSpec) { c.Changes = []string{"RUN true"} }, errdefs.IsInvalidArgument},
		"a bad name":                  {func(c *CommitSpec) { c.Repository = "Bad" }, errdefs.IsInvalidArgument},
		"a bad tag":                   {func(c *CommitSpec) { c.Repository, c.Tag = "x", "a b" }, errdefs.IsInvalidArgument},
		"an image that is not there":  {func(c *CommitSpec) { c.ImageID = "sha256:" + strings.Repeat("0", 64) }, errdefs.IsNotFound},
	} {
		c := commitSpec(base.id(t))
		row.change(&c)
		_, _, err := b.Commit(ctx, c, bytes.NewReader(layer))
		assert.Assert(t, row.is(err), "%s: %v", name, err)
	}
	_, _, err = b.Commit(ctx, commitSpec(base.id(t)), io.MultiReader(bytes.NewReader(layer[:600]), failingReader{io.ErrNoProgress}))
	assert.ErrorIs(t, err, io.ErrNoProgress)
	assert.DeepEqual(t, b.files(), before)
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
