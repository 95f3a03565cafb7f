package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/jobs"
)

// bench is images on a data root of their own, with an engine to run jobs on.
type bench struct {
	*Images
	t      testing.TB
	root   string
	eng    *engine.Engine
	events *recorder
	users  *users
	log    *bytes.Buffer
}

// newBench opens a new data root with vfs.
func newBench(t *testing.T) *bench { return openBench(t, t.TempDir(), vfs.New, nil) }

func openBench(t testing.TB, root string, open graphdriver.New, change func(*Config)) *bench {
	t.Helper()
	graph, err := open(graphdriver.Options{Home: filepath.Join(root, "graph")})
	assert.NilError(t, err)
	t.Cleanup(func() { _ = graph.Cleanup() })
	b := &bench{t: t, root: root, eng: engine.New(), events: &recorder{}, users: &users{}, log: &bytes.Buffer{}}
	logger := logrus.New()
	logger.SetOutput(b.log)
	cfg := Config{Root: root, Graph: graph, GraphDriver: "test", Events: b.events, Containers: b.users, Log: logger}
	if change != nil {
		change(&cfg)
	}
	b.Images, err = New(cfg)
	assert.NilError(t, err)
	b.Install(b.eng)
	return b
}

// reopen is what a new daemon on the same data root sees.
func (b *bench) reopen(open graphdriver.New) *bench {
	b.t.Helper()
	return openBench(b.t, b.root, open, nil)
}

func (b *bench) load(archive []byte) (messages string, err error) {
	var out bytes.Buffer
	_, err = jobs.Load.Run(context.Background(), b.eng, jobs.LoadIn{Quiet: true}, nil, engine.Stdin(bytes.NewReader(archive)), engine.Stdout(&out))
	return out.String(), err
}

func (b *bench) mustLoad(archive []byte) {
	b.t.Helper()
	_, err := b.load(archive)
	assert.NilError(b.t, err)
}

func (b *bench) mustImport(tar []byte, repo, tag string, changes ...string) string {
	b.t.Helper()
	in := jobs.ImportIn{Source: "-", Repository: repo, Tag: tag, Changes: changes}
	out, err := jobs.Import.Run(context.Background(), b.eng, in, nil, engine.Stdin(bytes.NewReader(tar)))
	assert.NilError(b.t, err)
	return out.ID
}

func (b *bench) mustTag(image, repo, tag string) {
	b.t.Helper()
	_, err := jobs.Tag.Run(context.Background(), b.eng, jobs.TagIn{Image: image, Repository: repo, Tag: tag})
	assert.NilError(b.t, err)
}

func (b *bench) list(in jobs.ImagesIn) []string {
	b.t.Helper()
	out, err := jobs.Images.Run(context.Background(), b.eng, in)
	assert.NilError(b.t, err)
	var rows []string
	for _, s := range out.Images {
		rows = append(rows, fmt.Sprint(s.RepoTags))
	}
	return rows
}

func (b *bench) rm(in jobs.ImageDeleteIn) ([]string, error) {
	out, err := jobs.ImageDelete.Run(context.Background(), b.eng, in)
	var rows []string
	for _, item := range out.Items {
		if item.Untagged != "" {
			rows = append(rows, "untagged "+item.Untagged)
		} else {
			rows = append(rows, "deleted "+item.Deleted)
		}
	}
	return rows, err
}

// files lists everything below the data root but the counters and locks that are not content.
func (b *bench) files() []string {
	b.t.Helper()
	var all []string
	err := filepath.WalkDir(b.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(b.root, path)
		all = append(all, rel)
		return nil
	})
	assert.NilError(b.t, err)
	return all
}

// graphIDs lists the layers in the graph driver.
func (b *bench) graphIDs() []string {
	b.t.Helper()
	ids, err := b.Graph.(graphdriver.Lister).List(context.Background())
	assert.NilError(b.t, err)
	slices.Sort(ids)
	return ids
}

type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) Log(typ events.Type, action events.Action, id string, attributes map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf("%s %s %s", typ, action, attributes["name"]))
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

type users struct {
	mu sync.Mutex
	of map[string][]Use
}

func (u *users) UsingImage(id string) []Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.of[id]
}

func (u *users) set(id string, uses ...Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[string][]Use{}
	}
	u.of[id] = uses
}

// entry is a member of a tar.
type entry struct {
	name string
	body string
	link string
	kind byte  // 0 is a file, or a folder for names that end in a slash
	size int64 // a lie, if not 0
}

func makeTar(t testing.TB, entries ...entry) []byte {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		hdr := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.body)), Typeflag: e.kind, Linkname: e.link, ModTime: time.Unix(0, 0)}
		switch {
		case e.kind == 0 && e.name[len(e.name)-1] == '/':
			hdr.Typeflag, hdr.Mode = tar.TypeDir, 0o755
		case e.kind == 0:
			hdr.Typeflag = tar.TypeReg
		}
		if e.size != 0 {
			hdr.Size = e.size
		}
		assert.NilError(t, tw.WriteHeader(hdr))
		_, err := io.WriteString(tw, e.body)
		assert.NilError(t, err)
	}
	if err := tw.Close(); err != nil { // a lying size
		tw.Flush()
	}
	return buf.Bytes()
}

func layerTar(t testing.TB, names ...string) []byte {
	var entries []entry
	for _, n := range names {
		entries = append(entries, entry{name: n, body: "content of " + n})
	}
	return makeTar(t, entries...)
}

func gz(data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(data)
	w.Close()
	return buf.Bytes()
}

// spec describes an image to be put into an archive.
type spec struct {
	tags   []string
	layers [][]byte // uncompressed
	arch   string
	config func(map[string]any)
}

func (s spec) configJSON(t testing.TB) []byte {
	arch := s.arch
	if arch == "" {
		arch = "amd64"
	}
	diffs := []digest.Digest{}
	for _, l := range s.layers {
		diffs = append(diffs, digest.FromBytes(l))
	}
	c := map[string]any{
		"architecture": arch, "os": "linux", "created": "2024-01-02T03:04:05Z",
		"config": map[string]any{"Cmd": []string{"sh"}, "Labels": map[string]string{"made": "here"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	}
	if s.config != nil {
		s.config(c)
	}
	data, err := json.Marshal(c)
	assert.NilError(t, err)
	return data
}

func (s spec) id(t testing.TB) string { return digest.FromBytes(s.configJSON(t)).String() }

// dockerArchive puts images into one archive as `docker save` did.
func dockerArchive(t testing.TB, specs ...spec) []byte {
	var entries []entry
	var manifest []map[string]any
	for n, s := range specs {
		config := s.configJSON(t)
		name := digest.FromBytes(config).Encoded() + ".json"
		var layers []string
		for i, l := range s.layers {
			path := fmt.Sprintf("%d-%d/layer.tar", n, i)
			entries = append(entries, entry{name: path, body: string(l)})
			layers = append(layers, path)
		}
		entries = append(entries, entry{name: name, body: string(config)})
		manifest = append(manifest, map[string]any{"Config": name, "RepoTags": s.tags, "Layers": layers})
	}
	data, err := json.Marshal(manifest)
	assert.NilError(t, err)
	return makeTar(t, append(entries, entry{name: "manifest.json", body: string(data)})...)
}

type openDriver = graphdriver.New

func isRoot() bool { return os.Getuid() == 0 }

func digestHex(data []byte) string { return digest.FromBytes(data).Encoded() }

func assertFile(t testing.TB, dir, name, content string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	assert.NilError(t, err)
	assert.Equal(t, string(data), content)
}

func stdin(data []byte) engine.RunOption { return engine.Stdin(bytes.NewReader(data)) }

func idOf(hex string) digest.Digest { return digest.NewDigestFromEncoded(digest.SHA256, hex) }

// memoryDir is a folder in memory where there is such: for tests of many syncs.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "images-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { assert.NilError(t, os.RemoveAll(dir)) })
	return dir
}

func sourcesOf(s spec) []store.Source {
	var sources []store.Source
	for _, l := range s.layers {
		sources = append(sources, store.Source{
			DiffID: digest.FromBytes(l),
			Open:   func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l)), nil },
		})
	}
	return sources
}
