package images

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// layout builds an OCI layout.
type layout struct {
	t       testing.TB
	entries []entry
	index   ocispec.Index
}

func newLayout(t testing.TB) *layout {
	l := &layout{t: t}
	l.index.SchemaVersion = 2
	return l
}

// blob adds a blob and gives its descriptor.
func (l *layout) blob(mediaType string, data []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	l.entries = append(l.entries, entry{name: "blobs/sha256/" + d.Digest.Encoded(), body: string(data)})
	return d
}

func (l *layout) json(mediaType string, v any) ocispec.Descriptor {
	data, err := json.Marshal(v)
	assert.NilError(l.t, err)
	return l.blob(mediaType, data)
}

// image adds an image with layers as they are given, of those media types.
func (l *layout) image(s spec, compressed [][]byte, mediaTypes ...string) ocispec.Descriptor {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	m.Config = l.blob(ocispec.MediaTypeImageConfig, s.configJSON(l.t))
	for i, c := range compressed {
		m.Layers = append(m.Layers, l.blob(mediaTypes[i], c))
	}
	d := l.json(ocispec.MediaTypeImageManifest, m)
	if s.arch != "" {
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: s.arch}
	}
	return d
}

func (l *layout) add(d ocispec.Descriptor, annotations map[string]string) {
	d.Annotations = annotations
	l.index.Manifests = append(l.index.Manifests, d)
}

func (l *layout) tar() []byte {
	index, err := json.Marshal(l.index)
	assert.NilError(l.t, err)
	return makeTar(l.t, append(l.entries, entry{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}, entry{name: "index.json", body: string(index)})...)
}

func zst(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

const (
	gzipLayer = ocispec.MediaTypeImageLayerGzip
	zstdLayer = ocispec.MediaTypeImageLayerZstd
	tarLayer  = ocispec.MediaTypeImageLayer
)

func TestLoadOfAnOCILayout(t *testing.T) {
	s := spec{layers: [][]byte{layerTar(t, "a"), layerTar(t, "b"), layerTar(t, "c")}}
	for name, annotations := range map[string]map[string]string{
		"web:latest":      {"org.opencontainers.image.ref.name": "docker.io/library/web"},
		"quay.io/x/web:1": {"org.opencontainers.image.ref.name": "quay.io/x/web:1"},
		"web:2":           {"io.containerd.image.name": "docker.io/library/web:2", "org.opencontainers.image.ref.name": "2"},
		"":                {"org.opencontainers.image.ref.name": "latest"}, // only a tag: it names nothing
	} {
		t.Run("as "+name, func(t *testing.T) {
			b := newBench(t)
			l := newLayout(t)
			l.add(l.image(s, [][]byte{gz(s.layers[0]), zst(s.layers[1]), s.layers[2]}, gzipLayer, zstdLayer, tarLayer), annotations)
			out, err := b.load(gz(l.tar()))
			assert.NilError(t, err)
			want := "Loaded image: " + name
			if name == "" {
				want = "Loaded image ID: " + s.id(t)
			}
			assert.Assert(t, strings.Contains(out, want), out)
			img, err := b.Lookup(ctx, s.id(t), "")
			assert.NilError(t, err)
			assert.Equal(t, img.SizeBytes, int64(3*len("content of a")))
		})
	}
}

func TestAnIndexGivesTheHostsImageOrTheOneAskedFor(t *testing.T) {
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	s := map[string]spec{}
	l := newLayout(t)
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for _, arch := range []string{other, runtime.GOARCH} {
		s[arch] = spec{arch: arch, layers: [][]byte{layerTar(t, arch)}}
		index.Manifests = append(index.Manifests, l.image(s[arch], s[arch].layers, tarLayer))
	}
	attestation := l.json(ocispec.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "config": map[string]any{}})
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	absent := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("absent"), Size: 7, Platform: &ocispec.Platform{OS: "linux", Architecture: "s390x"}}
	index.Manifests = append(index.Manifests, attestation, absent)
	nested := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{l.json(ocispec.MediaTypeImageIndex, index)}}
	nested.SchemaVersion = 2
	l.add(l.json(ocispec.MediaTypeImageIndex, nested), map[string]string{"io.containerd.image.name": "docker.io/library/multi:1"})
	archive := l.tar()

	for platform, want := range map[string]string{"": runtime.GOARCH, "linux/" + other: other, "linux/" + runtime.GOARCH: runtime.GOARCH} {
		b := newBench(t)
		in := jobs.LoadIn{Quiet: true}
		if platform != "" {
			in.Platforms = []string{platform}
		}
		_, err := jobs.Load.Run(ctx, b.eng, in, nil, stdin(archive))
		assert.NilError(t, err)
		got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "multi:1"})
		assert.NilError(t, err)
		assert.Equal(t, got.ID, s[want].id(t))
		assert.Equal(t, b.Count(), 1)
	}
	b := newBench(t)
	_, err := jobs.Load.Run(ctx, b.eng, jobs.LoadIn{Platforms: []string{"linux/riscv64"}}, nil, stdin(archive))
	assert.Error(t, err, "archive has no image for the platform linux/riscv64")
	_, err = jobs.Load.Run(ctx, b.eng, jobs.LoadIn{Platforms: []string{"a/b/c/d"}}, nil, stdin(archive))
	assert.ErrorContains(t, err, "a/b/c/d")
	assert.Equal(t, b.Count(), 0)
}

func TestHostileLayouts(t *testing.T) {
	good := spec{layers: [][]byte{layerTar(t, "a")}}
	for name, row := range map[string]struct {
		build func(l *layout)
		error string
	}{
		"blob of another digest": {func(l *layout) {
			l.add(l.image(good, good.layers, tarLayer), nil)
			l.entries[1].body += " "
		}, "does not have the digest that is its name"},
		"lying size": {func(l *layout) {
			d := l.image(good, good.layers, tarLayer)
			d.Size++
			l.add(d, nil)
		}, "of its descriptor"},
		"digest is a path": {func(l *layout) {
			l.add(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../x"}, nil)
		}, "is not a SHA-256 digest"},
		"no digest": {func(l *layout) {
			l.add(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, nil)
		}, "is not a SHA-256 digest"},
		"manifest is missing": {func(l *layout) {
			l.add(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x")}, nil)
		}, "no such file"},
		"schema 1": {func(l *layout) {
			l.add(l.json(ocispec.MediaTypeImageManifest, map[string]any{"schemaVersion": 1, "fsLayers": []any{}}), nil)
		}, "schema 1"},
		"layers and fsLayers": {func(l *layout) {
			l.add(l.json(ocispec.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "layers": []any{}, "fsLayers": []any{}, "config": map[string]any{}}), nil)
		}, "schema 1"},
		"index and manifest at once": {func(l *layout) {
			l.add(l.json(ocispec.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "manifests": []any{}, "config": map[string]any{}}), nil)
		}, "an index and a manifest at once"},
		"manifest said to be an index": {func(l *layout) {
			d := l.image(good, good.layers, tarLayer)
			d.MediaType = ocispec.MediaTypeImageIndex
			l.add(d, nil)
		}, "not what its media type"},
		"foreign layer": {func(l *layout) {
			l.add(l.image(good, good.layers, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), nil)
		}, "is not supported"},
		"more layers than diff ids": {func(l *layout) {
			l.add(l.image(good, [][]byte{good.layers[0], good.layers[0]}, tarLayer, tarLayer), nil)
		}, "layers length mismatch: expected 2, got 1"},
		"wrong diff id": {func(l *layout) {
			l.add(l.image(good, [][]byte{layerTar(t, "other")}, tarLayer), nil)
		}, "invalid diffID for layer "},
		"same diff id twice": {func(l *layout) {
			twice := spec{layers: [][]byte{good.layers[0], good.layers[0]}}
			l.add(l.image(twice, [][]byte{good.layers[0], layerTar(t, "x")}, tarLayer, tarLayer), nil)
		}, "invalid diffID for layer "},
		"deep indexes": {func(l *layout) {
			d := l.image(good, good.layers, tarLayer)
			for range 10 {
				d = l.json(ocispec.MediaTypeImageIndex, map[string]any{"schemaVersion": 2, "manifests": []any{d}})
			}
			l.add(d, nil)
		}, "nested more than"},
		"index bomb": {func(l *layout) {
			d := l.image(good, good.layers, tarLayer)
			for range 3 {
				d = l.json(ocispec.MediaTypeImageIndex, map[string]any{"schemaVersion": 2, "manifests": repeat(d, 50)})
			}
			l.add(d, nil)
		}, "more than 1000 manifests"},
		"bad name": {func(l *layout) {
			l.add(l.image(good, good.layers, tarLayer), map[string]string{"io.containerd.image.name": "../../x:y"})
		}, "invalid reference format"},
		"nothing that is an image": {func(l *layout) {
			l.add(l.json("application/x", map[string]any{}), nil)
		}, "no image for the platform"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			before := b.files()
			l := newLayout(t)
			row.build(l)
			_, err := b.load(l.tar())
			assert.ErrorContains(t, err, row.error)
			assert.DeepEqual(t, b.files(), before)
		})
	}
}

func repeat(d ocispec.Descriptor, n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = d
	}
	return all
}

func TestALayerTwiceInAnImageIsTwoLayers(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, nil)
			a := layerTar(t, "a")
			s := spec{tags: []string{"twice:1"}, layers: [][]byte{a, a, layerTar(t, "b"), a}}
			b.mustLoad(dockerArchive(t, s))
			layer, err := b.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			dir, err := b.Graph.Get(ctx, layer)
			assert.NilError(t, err)
			assertFile(t, dir, "a", "content of a")
			assert.NilError(t, b.Graph.Put(ctx, layer))
		})
	}
}

// Old archives have each layer in a folder of its own, and links where two are the same.
func TestLoadFollowsLinksInsideTheArchive(t *testing.T) {
	b := newBench(t)
	a := layerTar(t, "a")
	s := spec{tags: []string{"web:1"}, layers: [][]byte{a, a}}
	config := string(s.configJSON(t))
	b.mustLoad(makeTar(t, entry{name: "x/"}, entry{name: "x/layer.tar", body: string(a)},
		entry{name: "y/layer.tar", kind: '2', link: "../x/layer.tar"}, entry{name: "c.json", body: config},
		entry{name: "manifest.json", body: `[{"Config":"c.json","RepoTags":["web:1"],"Layers":["x/layer.tar","y/layer.tar"]}]`}))
	assert.Equal(t, b.Count(), 1)
}

func TestLoadOfAnArchiveOfOld(t *testing.T) {
	b := newBench(t)
	base, top := strings.Repeat("a", 64), strings.Repeat("b", 64)
	data := makeTar(t,
		entry{name: base + "/VERSION", body: "1.0"}, entry{name: base + "/layer.tar", body: string(layerTar(t, "a"))},
		entry{name: base + "/json", body: `{"id":"` + base + `","created":"2014-01-01T00:00:00Z","container_config":{"Cmd":["/bin/sh","-c","#(nop) ADD"]},"architecture":"amd64","os":"linux"}`},
		entry{name: top + "/layer.tar", body: string(gz(layerTar(t, "b")))},
		entry{name: top + "/json", body: `{"id":"` + top + `","parent":"` + base + `","created":"2015-01-01T00:00:00Z","author":"me","config":{"Cmd":["ls"]},"architecture":"amd64","os":"linux","Size":7}`},
		entry{name: "repositories", body: `{"web":{"1":"` + top + `","2":"` + top + `"},"Sub/base":{}}`})
	b.mustLoad(data)
	got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "web:1"})
	assert.NilError(t, err)
	assert.DeepEqual(t, got.RepoTags, []string{"web:1", "web:2"})
	assert.DeepEqual(t, got.Config.Cmd, []string{"ls"})
	assert.Equal(t, got.Author, "me")
	assert.Equal(t, len(got.RootFS.Layers), 2)
	h, err := jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "web:2"})
	assert.NilError(t, err)
	assert.Equal(t, h.Items[1].CreatedBy, "/bin/sh -c #(nop) ADD")
}

func TestLoadTellsProgressUnlessQuiet(t *testing.T) {
	b := newBench(t)
	s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
	var out strings.Builder
	_, err := jobs.Load.Run(ctx, b.eng, jobs.LoadIn{}, nil, stdin(dockerArchive(t, s)), engine.Stdout(&out))
	assert.NilError(t, err)
	lines := strings.Split(strings.TrimSpace(out.String()), "\r\n")
	var last struct {
		Status         string
		ID             string
		ProgressDetail struct{ Current, Total int64 }
	}
	assert.NilError(t, json.Unmarshal([]byte(lines[len(lines)-2]), &last))
	assert.Equal(t, last.Status, "Loading layer")
	assert.Equal(t, last.ID, digestHex(s.layers[0])[:12])
	assert.Equal(t, last.ProgressDetail.Current, int64(len(s.layers[0])))
	assert.Equal(t, last.ProgressDetail.Total, int64(len(s.layers[0])))
}
