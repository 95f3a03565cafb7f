package images

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	memory "github.com/google/go-containerregistry/pkg/registry"
	api "github.com/moby/moby/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/jobs"
)

// shop is a registry in memory with somebody in front of it who can spoil things.
type shop struct {
	t    testing.TB
	host string
	mu   sync.Mutex
	// front, if set, answers in the registry's stead; false passes the request on.
	front func(w http.ResponseWriter, r *http.Request) bool
	asked []string // "GET /v2/…", in order
}

func newShop(t testing.TB) *shop {
	s := &shop{t: t}
	srv := httptest.NewServer(s.handler(memory.New(memory.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(srv.Close)
	s.host = strings.TrimPrefix(srv.URL, "http://")
	return s
}

func (s *shop) handler(behind http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		front := s.front
		s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		if front == nil || !front(w, r) {
			behind.ServeHTTP(w, r)
		}
	})
}

func (s *shop) spoil(front func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.front = front
}

// count is how often something was asked for, and count resets nothing.
func (s *shop) count(method, part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.asked {
		if m, path, _ := strings.Cut(a, " "); m == method && strings.Contains(path, part) {
			n++
		}
	}
	return n
}

func (s *shop) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

func (s *shop) put(path, mediaType string, data []byte) {
	s.t.Helper()
	method := http.MethodPut
	if strings.Contains(path, "/uploads/") {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, "http://"+s.host+path, bytes.NewReader(data))
	assert.NilError(s.t, err)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	assert.NilError(s.t, err)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	assert.Equal(s.t, resp.StatusCode/100, 2, "%s: %s", path, body)
}

func (s *shop) blob(repo string, data []byte) ocispec.Descriptor {
	d := digest.FromBytes(data)
	s.put("/v2/"+repo+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", data)
	return ocispec.Descriptor{Digest: d, Size: int64(len(data))}
}

// offer is an image in a registry.
type offer struct {
	spec
	oci    bool
	pack   func([]byte) []byte // nil is gzip
	layers []ocispec.Descriptor
	change func(*ocispec.Manifest)
	digest digest.Digest // of the manifest, when it is there
	raw    []byte
}

// sell puts an image into the registry.
func (s *shop) sell(repo, tag string, o *offer) *offer {
	s.t.Helper()
	manifestType, configType, layerType := registry.DockerManifest, registry.DockerConfig, registry.DockerLayer
	if o.oci {
		manifestType, configType, layerType = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	}
	pack := o.pack
	if pack == nil {
		pack = gz
	}
	m := ocispec.Manifest{MediaType: manifestType}
	m.SchemaVersion = 2
	m.Config = s.blob(repo, o.configJSON(s.t))
	m.Config.MediaType = configType
	for _, l := range o.spec.layers {
		d := s.blob(repo, pack(l))
		d.MediaType = layerType
		m.Layers = append(m.Layers, d)
	}
	o.layers = m.Layers
	if o.change != nil {
		o.change(&m)
	}
	raw, err := json.Marshal(m)
	assert.NilError(s.t, err)
	o.digest, o.raw = digest.FromBytes(raw), raw
	s.put("/v2/"+repo+"/manifests/"+tag, manifestType, raw)
	return o
}

func plain(data []byte) []byte { return data }

// randomLayer is a tar with one file that does not compress.
func randomLayer(t testing.TB, name string, size int) []byte {
	body := make([]byte, size)
	x := uint64(len(name)) + uint64(name[len(name)-1])*2654435761 + 88172645463325252
	for i := range body {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		body[i] = byte(x)
	}
	return makeTar(t, entry{name: name, body: string(body)})
}

// newPuller opens images that pause only shortly between attempts.
func newPuller(t testing.TB, root string) *bench { return pullerWith(t, root, nil) }

func pullerWith(t testing.TB, root string, change func(*Config)) *bench {
	return openBench(t, root, vfs.New, func(cfg *Config) {
		cfg.RetryWait = time.Millisecond
		cfg.Registry = fastClient(t)
		if change != nil {
			change(cfg)
		}
	})
}

func fastClient(t testing.TB) *registry.Client {
	c, err := registry.New(registry.Config{Wait: time.Millisecond, CertDirs: []string{}, UserAgent: "test"})
	assert.NilError(t, err)
	return c
}

// pull runs the job and gives its messages.
func (b *bench) pull(image, tag string, change ...func(*jobs.PullIn)) ([]message, error) {
	return b.pullIn(context.Background(), image, tag, change...)
}

func (b *bench) pullIn(ctx context.Context, image, tag string, change ...func(*jobs.PullIn)) ([]message, error) {
	in := jobs.PullIn{Image: image, Tag: tag}
	for _, c := range change {
		c(&in)
	}
	var out bytes.Buffer
	_, err := jobs.Pull.Run(ctx, b.eng, in, nil, engine.Stdout(&out))
	return messagesOf(b.t, out.Bytes()), err
}

func (b *bench) mustPull(image, tag string, change ...func(*jobs.PullIn)) []message {
	b.t.Helper()
	m, err := b.pull(image, tag, change...)
	assert.NilError(b.t, err)
	return m
}

type message struct {
	Status, ID     string
	ProgressDetail *struct{ Current, Total int64 }
	Aux            json.RawMessage
}

func messagesOf(t testing.TB, data []byte) []message {
	t.Helper()
	var all []message
	for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
		var m message
		assert.NilError(t, dec.Decode(&m))
		all = append(all, m)
	}
	return all
}

func statuses(all []message, id string) []string {
	var out []string
	for _, m := range all {
		if m.ID == id && (len(out) == 0 || out[len(out)-1] != m.Status) {
			out = append(out, m.Status)
		}
	}
	return out
}

// assertNothingLeft compares what is on disk and in the graph driver with before.
func (b *bench) assertNothingLeft(files, graph []string) {
	b.t.Helper()
	assert.DeepEqual(b.t, b.files(), files)
	assert.DeepEqual(b.t, b.graphIDs(), graph)
	assert.Equal(b.t, b.store.InFlight(), 0)
}

// blobFiles are the downloads that are kept.
func (b *bench) blobFiles() (names []string, bytes int64) {
	b.t.Helper()
	dir := filepath.Join(b.root, "images", "test", "blobs")
	entries, err := os.ReadDir(dir)
	assert.NilError(b.t, err)
	for _, e := range entries {
		info, err := e.Info()
		assert.NilError(b.t, err)
		names, bytes = append(names, e.Name()), bytes+info.Size()
	}
	return names, bytes
}

func withAuth(user, password string) func(*jobs.PullIn) {
	return func(in *jobs.PullIn) { in.Auth = &api.AuthConfig{Username: user, Password: password} }
}

func threeLayers(t testing.TB) spec {
	return spec{layers: [][]byte{layerTar(t, "bin/sh", "etc/hosts"), layerTar(t, "usr/bin/tool"), randomLayer(t, "data", 600<<10)}}
}

func isBlobGet(r *http.Request, d digest.Digest) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+d.String())
}

func lastOf(all []message) string {
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Status
}

func contains(t testing.TB, all []string, want string) {
	t.Helper()
	assert.Assert(t, slices.Contains(all, want), fmt.Sprint(all))
}

// leave puts a file where an earlier process would have left a download.
func (b *bench) leave(d digest.Digest, data []byte) {
	b.t.Helper()
	assert.NilError(b.t, os.WriteFile(filepath.Join(b.root, "images", "test", "blobs", d.Encoded()), data, 0o600))
}
