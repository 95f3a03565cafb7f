package images

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	api "github.com/moby/moby/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/jobs"
)

// front answers requests in a registry's stead, or passes them on.
type front = func(w http.ResponseWriter, r *http.Request) bool

// Each row is a registry with a fault that a pull gets over.
func TestAPullGetsOver(t *testing.T) {
	dies := func(o *offer, d ocispec.Descriptor, data []byte, ranges bool) front {
		var got []string
		var mu sync.Mutex
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !isBlobGet(r, d.Digest) {
				return false
			}
			mu.Lock()
			got = append(got, r.Header.Get("Range"))
			n := len(got)
			mu.Unlock()
			if n > 3 {
				return !ranges && func() bool { w.Write(data); return true }()
			}
			from := 0
			if rg := r.Header.Get("Range"); rg != "" && ranges {
				fmt.Sscanf(rg, "bytes=%d-", &from)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
				w.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
				w.WriteHeader(http.StatusPartialContent)
			} else {
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				w.WriteHeader(http.StatusOK)
			}
			w.Write(data[from:min(len(data), from+len(data)*(n)/8)])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	fails := func(part string, times int, answer func(http.ResponseWriter)) front {
		var left atomic.Int32
		left.Store(int32(times))
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) || left.Add(-1) < 0 {
				return false
			}
			answer(w)
			return true
		}
	}
	status := func(code int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for n := 0; n+1 < len(header); n += 2 {
				w.Header().Set(header[n], header[n+1])
			}
			w.WriteHeader(code)
		}
	}
	broken := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "1000")
		w.Write(make([]byte, 10))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, spoil := range map[string]func(*offer) front{
		"it dies in the middle of a layer": func(o *offer) front { return dies(o, o.layers[2], gz(o.spec.layers[2]), true) },
		"it dies and has no ranges":        func(o *offer) front { return dies(o, o.layers[2], gz(o.spec.layers[2]), false) },
		"429 with Retry-After":             func(*offer) front { return fails("/blobs/", 4, status(429, "Retry-After", "0")) },
		"429 for the manifest":             func(*offer) front { return fails("/manifests/", 2, status(429, "Retry-After", "0")) },
		"500":                              func(*offer) front { return fails("/blobs/", 3, status(500)) },
		"503 for the manifest":             func(*offer) front { return fails("/manifests/", 3, status(503)) },
		"connections that break":           func(*offer) front { return fails("/blobs/sha256:", 3, broken) },
		"… for a layer":                    func(o *offer) front { return fails(o.layers[1].Digest.String(), 4, broken) },
		"it dies in the manifest":          func(*offer) front { return fails("/manifests/", 2, half) },
		"it dies in the config":            func(o *offer) front { return fails(digest.FromBytes(o.configJSON(t)).String(), 3, half) },
		"… for the manifest":               func(*offer) front { return fails("/manifests/", 3, broken) },
		"a slow trickle": func(o *offer) front {
			data := gz(o.spec.layers[1])
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlobGet(r, o.layers[1].Digest) {
					return false
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				for n := range data {
					w.Write(data[n : n+1])
					http.NewResponseController(w).Flush()
				}
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			o := s.sell("app", "1", &offer{spec: threeLayers(t)})
			b := newPuller(t, t.TempDir())
			s.spoil(spoil(o))
			b.mustPull(s.host+"/app", "1")
			img, err := b.find(s.host + "/app:1")
			assert.NilError(t, err)
			assert.Equal(t, img.ID.String(), o.id(t))
			names, _ := b.blobFiles()
			assert.Equal(t, len(names), 0)
		})
	}
}

// Each row is a registry that lies or fails for good: the pull says why, and
// nothing is left of it.
func TestAPullRefusesAndLeavesNothing(t *testing.T) {
	replace := func(d func(*offer) digest.Digest, data []byte) func(*shop, *offer) front {
		return func(_ *shop, o *offer) front {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlobGet(r, d(o)) {
					return false
				}
				w.Write(data)
				return true
			}
		}
	}
	layer := func(o *offer) digest.Digest { return o.layers[2].Digest }
	config := func(o *offer) digest.Digest { return digest.Digest(o.id(t)) }
	manifest := func(mediaType, body string) func(*shop, *offer) front {
		return func(*shop, *offer) front {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				w.Header().Set("Content-Type", mediaType)
				io.WriteString(w, body)
				return true
			}
		}
	}
	const good = `"schemaVersion":2,"mediaType":"` + registry.DockerManifest + `"`
	size := len(gz(threeLayers(t).layers[2]))
	for name, c := range map[string]struct {
		spec  func(*testing.T) *offer
		spoil func(*shop, *offer) front
		want  string
	}{
		"a layer that is another":   {spoil: replace(layer, bytes.Repeat([]byte("x"), size)), want: "filesystem layer verification failed for digest"},
		"a layer that is too long":  {spoil: replace(layer, bytes.Repeat([]byte("x"), size+1)), want: "longer than its manifest says"},
		"a layer that is too short": {spoil: replace(layer, bytes.Repeat([]byte("x"), size-1)), want: "unexpected EOF"},
		"a layer that never ends": {spoil: func(_ *shop, o *offer) front {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlobGet(r, layer(o)) {
					return false
				}
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						break
					}
				}
				return true
			}
		}, want: "longer than its manifest says"},
		"a config that is another": {spoil: replace(config, []byte(`{"rootfs":{"type":"layers"}}`)), want: "image config verification failed for digest"},
		"a layer that is not there": {spoil: func(_ *shop, o *offer) front {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isBlobGet(r, layer(o)) {
					http.Error(w, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, 404)
					return true
				}
				return false
			}
		}, want: "blob unknown: blob unknown to registry"},
		"500 for ever": {spoil: func(_ *shop, o *offer) front {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isBlobGet(r, layer(o)) {
					w.WriteHeader(500)
					return true
				}
				return false
			}
		}, want: "received unexpected HTTP status: 500 Internal Server Error"},
		"a manifest that is too large":  {spoil: manifest(registry.DockerManifest, `{`+good+`,"x":"`+strings.Repeat("a", registry.MaxManifestBytes)+`"}`), want: "is larger than"},
		"a manifest that is two things": {spoil: manifest(registry.DockerManifest, `{`+good+`,"layers":[],"manifests":[],"config":{}}`), want: "an index and a manifest at once"},
		"a manifest with a key twice":   {spoil: manifest(registry.DockerManifest, `{`+good+`,"layers":[],"Layers":[]}`), want: "invalid manifest"},
		"a manifest with another type":  {spoil: manifest(ocispec.MediaTypeImageManifest, `{`+good+`,"layers":[],"config":{}}`), want: "it says it is"},
		"schema 1":                      {spoil: manifest("application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1,"fsLayers":[]}`), want: "manifest version 2, schema 1 support has been removed. Suggest the author of "},
		"an unknown media type":         {spoil: manifest("application/vnd.x+json", `{}`), want: "unsupported manifest media type"},
		"a digest that is a path":       {spoil: manifest(registry.DockerManifest, `{`+good+`,"config":{"mediaType":"`+registry.DockerConfig+`","digest":"sha256:../../x","size":3},"layers":[]}`), want: "invalid manifest"},
		"a chart": {spoil: manifest(ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"`+digest.FromString("").String()+`","size":3},"layers":[]}`),
			want: "unsupported media type"},
		"an error of a gigabyte": {spoil: func(*shop, *offer) front {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				w.WriteHeader(400)
				for n := 0; n < 16<<10 && r.Context().Err() == nil; n++ {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						break
					}
				}
				return true
			}
		}, want: "received unexpected HTTP status: 400"},
		"a layer whose diff id is another's": {spec: func(t *testing.T) *offer {
			o := threeLayers(t)
			o.config = func(c map[string]any) {
				c["rootfs"].(map[string]any)["diff_ids"].([]digest.Digest)[1] = digest.FromString("other")
			}
			return &offer{spec: o}
		}, want: "invalid diffID for layer 1"},
		"fewer layers than the config": {spec: func(t *testing.T) *offer {
			return &offer{spec: threeLayers(t), change: func(m *ocispec.Manifest) { m.Layers = m.Layers[:2] }}
		}, want: "layers from manifest don't match image configuration"},
		"another operating system": {spec: func(t *testing.T) *offer {
			o := threeLayers(t)
			o.config = func(c map[string]any) { c["os"] = "windows" }
			return &offer{spec: o}
		}, want: `image operating system "windows" cannot be used on this platform`},
		"a bomb": {spec: func(t *testing.T) *offer {
			var bomb bytes.Buffer
			z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
			z.Write(makeTar(t, entry{name: "big", size: 64 << 20}))
			for range 64 {
				z.Write(make([]byte, 1<<20))
			}
			z.Close()
			o := spec{layers: [][]byte{layerTar(t, "a"), {1}}}
			return &offer{spec: o, pack: func(l []byte) []byte {
				if len(l) == 1 {
					return bomb.Bytes()
				}
				return gz(l)
			}}
		}, want: "beyond the limit of 8388608 bytes"},
		"a layer that climbs out": {spec: func(t *testing.T) *offer {
			return &offer{spec: spec{layers: [][]byte{layerTar(t, "a"), makeTar(t, entry{name: "l", link: "/etc", kind: '2'}, entry{name: "l/../../../x", body: "x"})}}}
		}, want: ""},
		"a layer that is cut off": {spec: func(t *testing.T) *offer {
			return &offer{spec: threeLayers(t), pack: func(l []byte) []byte { z := gz(l); return z[:len(z)-20] }}
		}, want: "layer sha256:"},
		"a layer that is no tar": {spec: func(t *testing.T) *offer {
			return &offer{spec: spec{layers: [][]byte{bytes.Repeat([]byte("no tar "), 1000)}}}
		}, want: "layer sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			o := &offer{spec: threeLayers(t)}
			if c.spec != nil {
				o = c.spec(t)
			}
			s.sell("app", "1", o)
			b := pullerWith(t, t.TempDir(), func(cfg *Config) { cfg.MaxLayerBytes, cfg.DownloadAttempts = 8<<20, 3 })
			b.mustLoad(dockerArchive(t, spec{tags: []string{"before:1"}, layers: [][]byte{layerTar(t, "a")}}))
			files, graph := b.files(), b.graphIDs()
			if c.spoil != nil {
				s.spoil(c.spoil(s, o))
			}
			_, err := b.pull(s.host+"/app", "1")
			assert.ErrorContains(t, err, c.want)
			b.assertNothingLeft(files, graph)
			assert.DeepEqual(t, b.list(jobs.ImagesIn{All: true}), []string{"[before:1]"})
			// And it works as soon as the registry does.
			if c.spec == nil {
				s.spoil(nil)
				b.mustPull(s.host+"/app", "1")
			}
		})
	}
}

// The registry's own host is shown credentials, another one is not, and not
// either when it is only another port.
func TestCredentialsDoNotFollowARedirect(t *testing.T) {
	var shown atomic.Int32
	data := map[string][]byte{}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			shown.Add(1)
		}
		w.Write(data[strings.TrimPrefix(r.URL.Path, "/")])
	}))
	t.Cleanup(store.Close)
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	for n, l := range o.layers {
		data[l.Digest.Encoded()] = gz(o.spec.layers[n])
	}
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return true
		}
		if _, hex, ok := strings.Cut(r.URL.Path, "/blobs/sha256:"); ok && r.Method == http.MethodGet && data[hex] != nil {
			http.Redirect(w, r, store.URL+"/"+hex, http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	b := newPuller(t, t.TempDir())
	_, err := b.pull(s.host+"/app", "1")
	assert.ErrorContains(t, err, "no basic auth credentials")
	_, err = b.pull(s.host+"/app", "1", withAuth("me", "wrong"))
	assert.ErrorContains(t, err, "unauthorized: authentication required")
	b.mustPull(s.host+"/app", "1", withAuth("me", "secret"))
	assert.Equal(t, shown.Load(), int32(0))
	assert.Assert(t, !strings.Contains(b.log.String(), "secret"), b.log.String())
}

// Layers that a registry need not have are fetched from elsewhere, and are no
// way to make the daemon tell its secrets.
func TestForeignLayersComeFromTheirURLs(t *testing.T) {
	s := newShop(t)
	layers := threeLayers(t)
	foreign := layerTar(t, "foreign")
	var shown atomic.Int32
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			shown.Add(1)
		}
		w.Write(gz(foreign))
	}))
	t.Cleanup(away.Close)
	layers.layers = append(layers.layers[:2:2], foreign)
	o := s.sell("app", "1", &offer{spec: layers, change: func(m *ocispec.Manifest) {
		m.Layers[2].MediaType = registry.DockerForeignLayer
		m.Layers[2].URLs = []string{"file:///etc/passwd", "ftp://x/y", away.URL + "/layer"}
	}})
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if isBlobGet(r, o.layers[2].Digest) {
			http.NotFound(w, r)
			return true
		}
		return false
	})
	b := newPuller(t, t.TempDir())
	b.mustPull(s.host+"/app", "1", withAuth("me", "secret"))
	assert.Equal(t, shown.Load(), int32(0))
}

// A token service gives tokens for a while; the registry refuses old ones.
func TestTokensAreFetchedAndRenewed(t *testing.T) {
	for name, auth := range map[string]api.AuthConfig{
		"a password":       {Username: "me", Password: "secret"},
		"auth":             {Auth: "bWU6c2VjcmV0"},
		"an identity":      {IdentityToken: "refresh"},
		"a registry token": {RegistryToken: "given"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			o := s.sell("team/app", "1", &offer{spec: threeLayers(t)})
			var issued atomic.Int32
			var valid atomic.Value
			valid.Store("given")
			tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.ParseForm()
				user, password, _ := r.BasicAuth()
				known := user == "me" && password == "secret" && r.Method == "GET" ||
					r.Method == "POST" && r.Form.Get("grant_type") == "refresh_token" && r.Form.Get("refresh_token") == "refresh"
				if !known || r.Form.Get("service") != "shop" || r.Form.Get("scope") != "repository:team/app:pull" {
					http.Error(w, `{"details":"incorrect username or password"}`, http.StatusUnauthorized)
					return
				}
				token := fmt.Sprintf("token-%d", issued.Add(1))
				valid.Store(token)
				fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, token)
			}))
			t.Cleanup(tokens.Close)
			var spoiled sync.Once
			s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
				if isBlobGet(r, o.layers[2].Digest) && name != "a registry token" {
					spoiled.Do(func() { valid.Store("another") }) // it expired on the way
				}
				if r.Header.Get("Authorization") == "Bearer "+valid.Load().(string) {
					return false
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="shop",scope="repository:team/app:pull"`, tokens.URL))
				http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
				return true
			})
			b := newPuller(t, t.TempDir())
			b.mustPull(s.host+"/team/app", "1", func(in *jobs.PullIn) { in.Auth = &auth })
			if name != "a registry token" {
				assert.Assert(t, issued.Load() >= 2)
				_, err := b.pull(s.host+"/team/app", "1", withAuth("me", "wrong"))
				assert.ErrorContains(t, err, "unauthorized: incorrect username or password")
			}
		})
	}
}

// Three at a time, unless told otherwise; the others say that they wait.
func TestAtMostSoManyLayersAreDownloadedAtOnce(t *testing.T) {
	s := newShop(t)
	var layers [][]byte
	for n := range 8 {
		layers = append(layers, layerTar(t, fmt.Sprint("file", n)))
	}
	o := s.sell("app", "1", &offer{spec: spec{layers: layers}})
	sizes := map[string]bool{}
	for _, l := range o.layers {
		sizes[l.Digest.String()] = true
	}
	var now, most atomic.Int32
	full := make(chan struct{})
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		_, d, ok := strings.Cut(r.URL.Path, "/blobs/")
		if !ok || !sizes[d] {
			return false
		}
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == 3 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full // nobody is done before three are there
		for k := range o.layers {
			if o.layers[k].Digest.String() == d {
				w.Write(gz(layers[k]))
			}
		}
		return true
	})
	b := newPuller(t, t.TempDir())
	all := b.mustPull(s.host+"/app", "1")
	assert.Equal(t, most.Load(), int32(3))
	waited := 0
	for _, m := range all {
		if m.Status == "Waiting" {
			waited++
		}
	}
	assert.Assert(t, waited > 0)
}
