package images

import (
	"bytes"
	"encoding/json"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

// several is an OCI layout with an image multi:1 for this host and two others.
type several struct {
	archive          []byte
	here, far, third spec
}

const far, elsewhere = "s390x", "riscv64" // no host of ours

func newSeveral(t *testing.T) several {
	s := several{
		here:  spec{arch: runtime.GOARCH, layers: [][]byte{layerTar(t, "shared"), layerTar(t, "here")}},
		far:   spec{arch: far, layers: [][]byte{layerTar(t, "shared"), layerTar(t, "far")}},
		third: spec{arch: elsewhere, layers: [][]byte{layerTar(t, "elsewhere")}},
	}
	l := newLayout(t)
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	shared := l.blob(tarLayer, s.far.layers[0])
	for n, one := range []spec{s.far, s.here, s.third} {
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: l.blob(ocispec.MediaTypeImageConfig, one.configJSON(t))}
		m.SchemaVersion = 2
		for k, layer := range one.layers {
			if k == 0 && n < 2 {
				m.Layers = append(m.Layers, shared)
				continue
			}
			m.Layers = append(m.Layers, l.blob(tarLayer, layer))
		}
		d := l.json(ocispec.MediaTypeImageManifest, m)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: one.arch}
		index.Manifests = append(index.Manifests, d)
	}
	l.add(l.json(ocispec.MediaTypeImageIndex, index), map[string]string{"io.containerd.image.name": "docker.io/library/multi:1"})
	s.archive = l.tar()
	return s
}

func (b *bench) loadFor(archive []byte, platforms ...string) (jobs.LoadOut, string, error) {
	var out bytes.Buffer
	got, err := jobs.Load.Run(ctx, b.eng, jobs.LoadIn{Quiet: true, Platforms: platforms}, nil, engine.Stdin(bytes.NewReader(archive)), engine.Stdout(&out))
	return got, out.String(), err
}

func (b *bench) saveFor(name string, platforms ...string) ([]byte, error) {
	var out bytes.Buffer
	_, err := jobs.Save.Run(ctx, b.eng, jobs.SaveIn{Images: []string{name}, Platforms: platforms}, nil, engine.Stdout(&out))
	return out.Bytes(), err
}

// idFor is what a name is for a platform, or the error's text.
func (b *bench) idFor(name, platform string) string {
	b.t.Helper()
	got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: name, Platform: platform})
	img, lerr := b.Lookup(ctx, name, platform)
	if err != nil {
		assert.Error(b.t, lerr, err.Error())
		return err.Error()
	}
	assert.NilError(b.t, lerr)
	assert.Equal(b.t, img.ID, got.ID)
	return got.ID
}

func TestSeveralPlatformsOfAnImageAreBesideEachOther(t *testing.T) {
	s := newSeveral(t)
	b := newBench(t)
	empty := b.files()
	host := "linux/" + runtime.GOARCH
	out, messages, err := b.loadFor(s.archive, "linux/"+far, host)
	assert.NilError(t, err)
	assert.DeepEqual(t, out.Loaded, []string{"multi:1"})
	assert.Equal(t, strings.Count(messages, "Loaded image"), 1, messages)

	b.mustTag("multi:1", "again", "2")
	for _, b := range []*bench{b, b.reopen(drivers(t)["vfs"])} {
		for _, name := range []string{"multi:1", "again:2", s.here.id(t)} {
			// Whatever the order, the host's has the tag.
			assert.Equal(t, b.idFor(name, ""), s.here.id(t))
			assert.Equal(t, b.idFor(name, host), s.here.id(t))
			assert.Equal(t, b.idFor(name, "linux/"+far), s.far.id(t))
			assert.Equal(t, b.idFor(name, "linux/"+elsewhere), "image with reference "+name+" was found but does not provide the specified platform (linux/"+elsewhere+"), only "+host)
		}
		assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[again:2 multi:1]"})
		assert.DeepEqual(t, b.list(jobs.ImagesIn{Filters: filters.Args{"dangling": {"true"}}}), []string(nil))
		assert.Equal(t, len(b.list(jobs.ImagesIn{All: true})), 2)
		history, err := jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "multi:1", Platform: "linux/" + far})
		assert.NilError(t, err)
		if len(history.Items) > 0 {
			assert.Equal(t, history.Items[0].ID, s.far.id(t))
		}
		_, err = jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "multi:1", Platform: "linux/" + elsewhere})
		assert.Assert(t, errdefs.IsNotFound(err), "%v", err)
		_, err = jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "multi:1", Platform: "a/b/c/d"})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		// What has a name for one platform is nothing to prune for another.
		pruned, err := jobs.ImagePrune.Run(ctx, b.eng, jobs.ImagePruneIn{})
		assert.NilError(t, err)
		assert.Equal(t, len(pruned.ImagesDeleted), 0)
	}

	// A later load adds to it.
	_, _, err = b.loadFor(s.archive, host, "linux/"+elsewhere)
	assert.NilError(t, err)
	assert.Equal(t, b.idFor("multi:1", "linux/"+elsewhere), s.third.id(t))
	// One platform goes, then one tag, then all that is left with the last tag.
	rows, err := b.rm(jobs.ImageDeleteIn{Image: "multi:1", Platforms: []string{"linux/" + elsewhere}})
	assert.NilError(t, err)
	assert.Equal(t, rows[0], "deleted "+s.third.id(t))
	_, err = b.rm(jobs.ImageDeleteIn{Image: "multi:1", Platforms: []string{"linux/" + far, "linux/" + elsewhere}})
	assert.Assert(t, errdefs.IsNotFound(err), "%v", err)
	rows, err = b.rm(jobs.ImageDeleteIn{Image: "multi:1"})
	assert.NilError(t, err)
	assert.DeepEqual(t, rows, []string{"untagged multi:1"})
	assert.Equal(t, b.idFor("again:2", "linux/"+far), s.far.id(t))
	rows, err = b.rm(jobs.ImageDeleteIn{Image: "again:2"})
	assert.NilError(t, err)
	assert.Assert(t, slices.Contains(rows, "deleted "+s.here.id(t)) && slices.Contains(rows, "deleted "+s.far.id(t)), "%v", rows)
	assert.Equal(t, b.Count(), 0)
	assert.DeepEqual(t, b.files(), empty)
}

func TestLoadOfPlatformsThatAreNotAllThere(t *testing.T) {
	s := newSeveral(t)
	b := newBench(t)
	_, _, err := b.loadFor(s.archive, "linux/"+far, "linux/mips64le")
	assert.Error(t, err, "archive has no image for the platform linux/mips64le")
	assert.Equal(t, b.Count(), 0)
	// The same of an archive without an index.
	old := dockerArchive(t, spec{tags: []string{"old:1"}, arch: far, layers: s.third.layers})
	_, _, err = b.loadFor(old, "linux/"+far, "linux/mips64le")
	assert.Error(t, err, "archive has no image for the platform linux/mips64le")
	_, _, err = b.loadFor(old, "linux/mips64le")
	assert.Error(t, err, "archive has no image for the platform linux/mips64le")
	_, _, err = b.loadFor(old, "linux/"+far)
	assert.NilError(t, err)
	// None of those asked for is the host's: the first one has the tag. One alone takes it.
	_, _, err = b.loadFor(s.archive, "linux/"+elsewhere, "linux/"+far)
	assert.NilError(t, err)
	assert.Equal(t, b.idFor("multi:1", ""), s.third.id(t))
	_, messages, err := b.loadFor(s.archive)
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(messages, "renaming the old one with ID "+s.third.id(t)), messages)
	assert.Equal(t, b.idFor("multi:1", ""), s.here.id(t))
	// What lost its tag, and what was beside it, is pruned.
	out, err := jobs.ImagePrune.Run(ctx, b.eng, jobs.ImagePruneIn{})
	assert.NilError(t, err)
	assert.Equal(t, b.Count(), 2, "%v", out)
	assert.DeepEqual(t, b.list(jobs.ImagesIn{All: true}), []string{"[multi:1]", "[old:1]"})
}

func TestSaveHasThePlatformsThatAreThere(t *testing.T) {
	s := newSeveral(t)
	b := newBench(t)
	host := "linux/" + runtime.GOARCH
	_, _, err := b.loadFor(s.archive, host, "linux/"+far)
	assert.NilError(t, err)
	both, err := b.saveFor("multi:1")
	assert.NilError(t, err)
	same, err := b.saveFor("multi:1", "linux/"+far, host, host)
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(both, same))
	one, err := b.saveFor("multi:1", "linux/"+far)
	assert.NilError(t, err)
	byID, err := b.saveFor(s.here.id(t))
	assert.NilError(t, err)
	assert.Assert(t, blobs(t, byID)["blobs/sha256/"+strings.TrimPrefix(s.far.id(t), "sha256:")] == nil)

	for _, missing := range [][]string{{"linux/" + elsewhere}, {host, "linux/" + elsewhere}} {
		archive, err := b.saveFor("multi:1", missing...)
		assert.Assert(t, errdefs.IsNotFound(err), "%v", err)
		assert.ErrorContains(t, err, "image with reference multi:1 was found but does not provide the specified platform (linux/"+elsewhere+")")
		assert.Equal(t, len(archive), 0)
	}

	// Whoever knows manifest.json only finds the main one.
	var items []struct{ Config string }
	assert.NilError(t, json.Unmarshal(blobs(t, both)["manifest.json"], &items))
	assert.Equal(t, len(items), 1)
	assert.Equal(t, items[0].Config, "blobs/sha256/"+strings.TrimPrefix(s.here.id(t), "sha256:"))

	for name, row := range map[string]struct {
		archive   []byte
		platforms []string
		main      string
		count     int
	}{
		"both, the host's":       {both, nil, s.here.id(t), 1},
		"both, the other one":    {both, []string{"linux/" + far}, s.far.id(t), 1},
		"both, both":             {both, []string{"linux/" + far, host}, s.here.id(t), 2},
		"one, whatever it is":    {one, nil, s.far.id(t), 1},
		"one, which is that one": {one, []string{"linux/" + far}, s.far.id(t), 1},
	} {
		other := newBench(t)
		_, _, err := other.loadFor(row.archive, row.platforms...)
		assert.NilError(t, err, name)
		assert.Equal(t, other.idFor("multi:1", ""), row.main, name)
		assert.Equal(t, other.Count(), row.count, name)
		if row.count == 2 {
			again, err := other.saveFor("multi:1")
			assert.NilError(t, err)
			assert.Assert(t, bytes.Equal(again, both), name)
		}
	}
}

// A container of one platform keeps that one when the name goes.
func TestAContainerKeepsItsPlatform(t *testing.T) {
	s := newSeveral(t)
	b := newBench(t)
	_, _, err := b.loadFor(s.archive, "linux/"+far, "linux/"+runtime.GOARCH)
	assert.NilError(t, err)
	b.users.set(s.far.id(t), Use{ID: "0123456789abcdef"})
	_, err = b.rm(jobs.ImageDeleteIn{Image: "multi:1", Platforms: []string{"linux/" + far}})
	assert.ErrorContains(t, err, "image is being used by stopped container")
	_, err = b.rm(jobs.ImageDeleteIn{Image: "multi:1"})
	assert.NilError(t, err)
	assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[]"})
	assert.Equal(t, b.idFor(s.far.id(t), ""), s.far.id(t))
}

func TestInspectShowsWhatABuilderOfOldLeft(t *testing.T) {
	b := newBench(t)
	layer := layerTar(t, "a")
	config := `{"architecture":"amd64","os":"linux","docker_version":"20.10.24","container":"c0ffee","container_config":{"Cmd":["sh","-c","x"]},"rootfs":{"type":"layers","diff_ids":["sha256:` + digestHex(layer) + `"]}}`
	b.mustLoad(makeTar(t, entry{name: "c.json", body: config}, entry{name: "l.tar", body: string(layer)}, entry{name: "manifest.json", body: `[{"Config":"c.json","RepoTags":["old:1"],"Layers":["l.tar"]}]`}))
	for _, b := range []*bench{b, b.reopen(drivers(t)["vfs"])} {
		got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "old:1", Builder: true})
		assert.NilError(t, err)
		assert.Equal(t, got.DockerVersion+" "+got.Container+" "+strings.Join(got.ContainerConfig.Cmd, " "), "20.10.24 c0ffee sh -c x")
		got, err = jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "old:1"})
		assert.NilError(t, err)
		assert.Assert(t, got.ContainerConfig == nil && got.Container == "" && got.DockerVersion == "20.10.24")
	}
}

func TestScratchIsNoImageToPull(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"scratch", "docker.io/library/scratch:latest"} {
		_, err := jobs.Pull.Run(ctx, b.eng, jobs.PullIn{Image: name}, nil, engine.Stdout(io.Discard))
		assert.Assert(t, errdefs.IsPermissionDenied(err), "%v", err)
		assert.Error(t, err, "'scratch' is a reserved name")
	}
}

// A platform is pushed as an image of its own, under the tag that is named.
func TestAPlatformIsPushedByTheNameOfAll(t *testing.T) {
	s := newSeveral(t)
	r := newShop(t)
	b := newPuller(t, t.TempDir())
	_, _, err := b.loadFor(s.archive, "linux/"+far, "linux/"+runtime.GOARCH)
	assert.NilError(t, err)
	b.mustTag("multi:1", r.host+"/multi", "1")
	push := func(platform string) error {
		_, err := jobs.Push.Run(ctx, b.eng, jobs.PushIn{Image: r.host + "/multi", Tag: "1", Platform: platform}, nil, engine.Stdout(io.Discard))
		return err
	}
	for platform, id := range map[string]string{"linux/" + far: s.far.id(t), "": s.here.id(t)} {
		assert.NilError(t, push(platform))
		other := newPuller(t, t.TempDir())
		other.mustPull(r.host+"/multi", "1")
		assert.Equal(t, other.idFor(r.host+"/multi:1", ""), id)
	}
	assert.ErrorContains(t, push("linux/"+elsewhere), "does not provide the specified platform (linux/"+elsewhere+")")
}
