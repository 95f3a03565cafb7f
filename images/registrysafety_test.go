package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/jobs"
)

// A tag that moves in the middle of a pull gives the one image or the other,
// never parts of both: after the digest is known nobody asks for the tag again.
func TestATagThatMovesIsPulledWhole(t *testing.T) {
	for name, silent := range map[string]bool{"the registry tells digests": false, "it does not": true} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			first := s.sell("app", "1", &offer{spec: spec{layers: [][]byte{layerTar(t, "first"), randomLayer(t, "a", 100<<10)}}})
			second := &offer{spec: spec{layers: [][]byte{layerTar(t, "second"), randomLayer(t, "b", 100<<10)}}}
			var once sync.Once
			b := newPuller(t, t.TempDir())
			s.forget()
			s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") && !strings.Contains(r.URL.Path, "/blobs/") || r.Header.Get("User-Agent") != "test" {
					return false // not the pull's
				}
				if silent && r.Method == http.MethodHead {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return true
				}
				if r.Method == http.MethodGet && (!silent || strings.Contains(r.URL.Path, "/blobs/")) {
					once.Do(func() { s.sell("app", "1", second) })
				}
				return false
			})
			all := b.mustPull(s.host+"/app", "1")
			assert.Equal(t, all[len(all)-2].Status, "Digest: "+first.digest.String())
			img, err := b.find(s.host + "/app:1")
			assert.NilError(t, err)
			assert.Equal(t, img.ID.String(), first.id(t))
			asked := 1
			if !silent {
				asked = 0
			}
			assert.Equal(t, s.count("GET", "/manifests/1"), asked)
			s.spoil(nil)
			b.mustPull(s.host+"/app", "1")
			img, err = b.find(s.host + "/app:1")
			assert.NilError(t, err)
			assert.Equal(t, img.ID.String(), second.id(t))
		})
	}
}

// What is asked for by digest is that, or refused: a manifest with another
// digest, also when the tag's digest was the registry's own word.
func TestAManifestOfAnotherDigestIsRefused(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	other := s.sell("app", "2", &offer{spec: spec{layers: [][]byte{layerTar(t, "other")}}})
	b := newPuller(t, t.TempDir())
	files, graph := b.files(), b.graphIDs()
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/manifests/"+o.digest.String()) {
			return false
		}
		w.Header().Set("Content-Type", registry.DockerManifest)
		w.Header().Set("Docker-Content-Digest", o.digest.String())
		w.Write(other.raw)
		return true
	})
	for _, tag := range []string{o.digest.String(), "1"} {
		_, err := b.pull(s.host+"/app", tag)
		assert.ErrorContains(t, err, "manifest verification failed for digest "+o.digest.String())
		b.assertNothingLeft(files, graph)
	}
	for _, tag := range []string{"sha256:../../x", "sha256:ABCDEF", "sha256:abcd", "sha512:" + strings.Repeat("a", 128), "SHA256:" + strings.Repeat("a", 64), "../../x"} {
		s.forget()
		_, err := b.pull(s.host+"/app", tag)
		assert.Assert(t, err != nil, tag)
		if !strings.HasPrefix(tag, "sha512:") {
			assert.Assert(t, errdefs.IsInvalidArgument(err), "%s: %v", tag, err)
			assert.Equal(t, s.count("GET", ""), 0, "%s was asked for", tag)
		}
		b.assertNothingLeft(files, graph)
	}
}

// An image of schema 1 is refused in docker's words.
func TestSchema1IsRefusedInDockersWords(t *testing.T) {
	for name, row := range map[string]struct{ mediaType, body string }{
		"signed":   {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[],"signatures":[]}`},
		"unsigned": {"application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`},
		"untyped":  {"application/json", `{"schemaVersion":1,"name":"app","fsLayers":[{"blobSum":"x"}],"history":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.sell("app", "1", &offer{spec: threeLayers(t)})
			b := newPuller(t, t.TempDir())
			files, graph := b.files(), b.graphIDs()
			s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
					return r.Method == http.MethodHead // without a digest
				}
				w.Header().Set("Content-Type", row.mediaType)
				io.WriteString(w, row.body)
				return true
			})
			all, err := b.pull(s.host+"/app", "1")
			assert.Error(t, err, "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of "+s.host+
				"/app:1 to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/")
			assert.Assert(t, errdefs.IsInvalidArgument(err))
			assert.Equal(t, lastOf(all), "Pulling from app")
			b.assertNothingLeft(files, graph)
		})
	}
}

// Credentials that name another registry stay with the daemon.
func TestCredentialsOfAnotherRegistryAreNotShown(t *testing.T) {
	s := newShop(t)
	s.sell("app", "1", &offer{spec: threeLayers(t)})
	var mu sync.Mutex
	shown := 0
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "" {
			shown++
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	b := newPuller(t, t.TempDir())
	as := func(address string) func(*jobs.PullIn) {
		return func(in *jobs.PullIn) {
			in.Auth = &api.AuthConfig{Username: "me", Password: "secret", ServerAddress: address}
		}
	}
	_, err := b.pull(s.host+"/app", "1", as("a.example"))
	assert.ErrorContains(t, err, "no basic auth credentials")
	assert.Equal(t, shown, 0)
	b.mustPull(s.host+"/app", "1", as(s.host))
	assert.Assert(t, shown > 0)
}

// Documents that made other daemons fall over: refused, or taken, and what lists
// images goes on working.
func TestOddDocumentsOfARegistryDoNoHarm(t *testing.T) {
	layer := layerTar(t, "a")
	diff := fmt.Sprintf(`"rootfs":{"type":"layers","diff_ids":["%s"]}`, digest.FromBytes(layer))
	for name, row := range map[string]struct{ config, want string }{
		"nothing":                        {``, "invalid image config"},
		"null":                           {`null`, "invalid image config"},
		"a list":                         {`[]`, "invalid image config"},
		"an empty object":                {`{}`, "invalid image config"},
		"rootfs is null":                 {`{"rootfs":null}`, "invalid image config"},
		"diff ids are null":              {`{"rootfs":{"type":"layers","diff_ids":null}}`, "layers from manifest don't match"},
		"a diff id is null":              {`{"rootfs":{"type":"layers","diff_ids":[null]}}`, "is not a SHA-256 diff id"},
		"a diff id is a path":            {`{"rootfs":{"type":"layers","diff_ids":["sha256:../../../etc"]}}`, "is not a SHA-256 diff id"},
		"a key twice":                    {`{"config":{},"Config":{},` + diff + `}`, "given twice"},
		"everything is null":             {`{"config":null,"history":null,"created":null,"container_config":null,"os":null,"architecture":null,` + diff + `}`, ""},
		"history without anything in it": {`{"history":[{}],` + diff + `}`, ""},
		"history without dates":          {`{"history":[{"created_by":"x","empty_layer":true},{"created":null}],` + diff + `}`, ""},
		"history shorter than layers":    {`{"history":[],` + diff + `}`, ""},
		"privileges": {`{"HostConfig":{"Privileged":true},"Privileged":true,"SecurityOpt":["seccomp=unconfined"],"Runtime":"/bin/sh","config":{"HostConfig":{"Privileged":true},"SecurityOpt":["x"]},` +
			diff + `}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.sell("app", "1", &offer{spec: spec{layers: [][]byte{layer}}, change: func(m *ocispec.Manifest) {
				m.Config = s.blob("app", []byte(row.config))
				m.Config.MediaType = registry.DockerConfig
			}})
			b := newPuller(t, t.TempDir())
			files, graph := b.files(), b.graphIDs()
			_, err := b.pull(s.host+"/app", "1")
			if row.want != "" {
				assert.ErrorContains(t, err, row.want)
				b.assertNothingLeft(files, graph)
				assert.DeepEqual(t, b.list(jobs.ImagesIn{All: true}), []string(nil))
				return
			}
			assert.NilError(t, err)
			assert.Equal(t, len(b.list(jobs.ImagesIn{All: true})), 1)
			got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: s.host + "/app:1"})
			assert.NilError(t, err)
			data, err := json.Marshal(got)
			assert.NilError(t, err)
			for _, word := range []string{"rivileged", "SecurityOpt", "Runtime"} {
				assert.Assert(t, !bytes.Contains(data, []byte(word)), "%s", data)
			}
			_, err = jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: s.host + "/app:1"})
			assert.NilError(t, err)
		})
	}
}

// Fifty layers, one content twice, and one in the middle that cannot be
// unpacked, pulled by twenty at once: all of them end, and what comes after is
// as if they had not been (CVE-2021-20291).
func TestAFailingLayerHoldsNobodyUp(t *testing.T) {
	s := newShop(t)
	var layers [][]byte
	for n := range 50 {
		layers = append(layers, layerTar(t, fmt.Sprint("file", n)))
	}
	layers[30] = layers[10]
	s.sell("good", "1", &offer{spec: spec{layers: layers}})
	bad := append([][]byte{}, layers...)
	bad[25] = makeTar(t, entry{name: "a", kind: tar.TypeSymlink, link: "b"}, entry{name: "b", kind: tar.TypeSymlink, link: "a"}, entry{name: "a/x", body: "x"})
	s.sell("bad", "1", &offer{spec: spec{layers: bad}})
	b := newPuller(t, t.TempDir())
	files, graph := b.files(), b.graphIDs()
	together := func(repo string) []error {
		var wg sync.WaitGroup
		errs := make([]error, 20)
		for n := range errs {
			wg.Go(func() { _, errs[n] = b.pull(s.host+"/"+repo, "1") })
		}
		wg.Wait()
		return errs
	}
	for _, err := range together("bad") {
		assert.ErrorContains(t, err, "layer sha256:")
	}
	b.assertNothingLeft(files, graph)
	for _, err := range together("good") {
		assert.NilError(t, err)
	}
	assert.ErrorContains(t, errors.Join(together("bad")...), "layer sha256:")
	assert.Equal(t, len(b.list(jobs.ImagesIn{All: true})), 1)
	_, err := b.rm(jobs.ImageDeleteIn{Image: s.host + "/good:1"})
	assert.NilError(t, err)
	b.assertNothingLeft(files, graph)
}

// hostileForms are layers that lead unpackers astray; each of them comes in
// through every door (TestHostileLayersAtEveryDoor).
func hostileForms(t *testing.T, target string) map[string][]byte {
	dir := filepath.Dir(target)
	climb := strings.Repeat("../", 40)
	const link, hard = tar.TypeSymlink, tar.TypeLink
	return map[string][]byte{
		"dotdot":                        makeTar(t, entry{name: climb + target[1:], body: "x"}),
		"absolute":                      makeTar(t, entry{name: target, body: "x"}),
		"below a link":                  makeTar(t, entry{name: "ln", kind: link, link: dir}, entry{name: "ln/canary", body: "x"}),
		"below a relative link":         makeTar(t, entry{name: "ln", kind: link, link: climb + dir[1:]}, entry{name: "ln/canary", body: "x"}),
		"over a link":                   makeTar(t, entry{name: "ln", kind: link, link: target}, entry{name: "ln", body: "x"}),
		"a hard link out":               makeTar(t, entry{name: "hl", kind: hard, link: climb + target[1:]}, entry{name: "hl", body: "x"}),
		"an absolute hard link":         makeTar(t, entry{name: "hl", kind: hard, link: target}),
		"a hard link through a link":    makeTar(t, entry{name: "ln", kind: link, link: dir}, entry{name: "hl", kind: hard, link: "ln/canary"}, entry{name: "hl", body: "x"}),
		"a deferred hard link":          makeTar(t, entry{name: "f", body: "1"}, entry{name: "hl", kind: hard, link: "f"}, entry{name: "f", kind: link, link: target}, entry{name: "hl", body: "x"}, entry{name: "f", body: "x"}),
		"the root is a link":            makeTar(t, entry{name: ".", kind: link, link: dir}, entry{name: "canary", body: "x"}),
		"a folder turns into a link":    makeTar(t, entry{name: "d/"}, entry{name: "d", kind: link, link: dir}, entry{name: "d/canary", body: "x"}),
		"a name that a link changes":    makeTar(t, entry{name: "a", kind: link, link: dir + "/x"}, entry{name: "a/../canary", body: "x"}),
		"a whiteout outside":            makeTar(t, entry{name: climb + dir[1:] + "/.wh.canary"}),
		"a whiteout through a link":     makeTar(t, entry{name: "ln", kind: link, link: dir}, entry{name: "ln/.wh.canary"}),
		"an opaque mark through a link": makeTar(t, entry{name: "ln", kind: link, link: dir}, entry{name: "ln/.wh..wh..opq"}),
		"a whiteout of what is above":   makeTar(t, entry{name: ".wh..."}),
		"a mark with nothing behind it": makeTar(t, entry{name: ".wh."}),
		"a size that is a lie":          makeTar(t, entry{name: "a", body: "x", size: 1 << 40}),
		"a name of 64 k folders":        deepTar(64 << 10),
		"a link to itself":              makeTar(t, entry{name: "a", kind: hard, link: "a"}),
		"no tar":                        bytes.Repeat([]byte("garbage!"), 200),
		"xz":                            append([]byte{0xfd, '7', 'z', 'X', 'Z', 0}, make([]byte, 2048)...),
		"zstd with a window of 2 GB":    {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00},
		"gzip in gzip":                  gz(gz(makeTar(t, entry{name: "a", body: "x"}))),
	}
}

// sparseTar is a file of so many bytes that is a hole but for the first one, as
// GNU tar writes it in version 0.1; package tar does not.
func sparseTar(t testing.TB, size int64) []byte {
	var records string
	for _, r := range []string{fmt.Sprint("GNU.sparse.size=", size), "GNU.sparse.numblocks=1", "GNU.sparse.map=0,1"} {
		n := len(r) + 3
		for len(fmt.Sprintf("%d %s\n", n, r)) != n {
			n++
		}
		records += fmt.Sprintf("%d %s\n", n, r)
	}
	data := makeTar(t, entry{name: "x", body: records}, entry{name: "hole", body: "x"})
	const typeflag, checksum = 156, 148 // places in the first header
	data[typeflag] = tar.TypeXHeader
	copy(data[checksum:], "        ")
	sum := 0
	for _, b := range data[:512] {
		sum += int(b)
	}
	copy(data[checksum:], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// A hole is a hole on the disk, and what claims to be larger than any is refused:
// a few bytes fill no disk and keep nobody busy.
func TestHolesOfASparseFileTakeNoPlace(t *testing.T) {
	const small, large = 1 << 30, 1 << 40
	for _, size := range []int64{small, large} {
		layer := sparseTar(t, size)
		hdr, err := tar.NewReader(bytes.NewReader(layer)).Next()
		assert.NilError(t, err)
		assert.Equal(t, hdr.Size, size)
		b := newPuller(t, t.TempDir())
		files, graph := b.files(), b.graphIDs()
		s := newShop(t)
		evil := spec{tags: []string{"evil:1"}, layers: [][]byte{layer}}
		s.sell("app", "1", &offer{spec: evil})
		for _, enter := range []func() (string, error){
			func() (string, error) { _, err := b.pull(s.host+"/app", "1"); return s.host + "/app:1", err },
			func() (string, error) { _, err := b.load(dockerArchive(t, evil)); return "evil:1", err },
			func() (string, error) { return b.importFrom("-", layer) },
		} {
			image, err := enter()
			if size == large {
				assert.ErrorContains(t, err, "beyond the limit")
			} else {
				assert.NilError(t, err)
				var blocks int64
				assert.NilError(t, filepath.WalkDir(b.root, func(path string, _ fs.DirEntry, err error) error {
					var st syscall.Stat_t
					if err == nil && syscall.Lstat(path, &st) == nil {
						blocks += st.Blocks
					}
					return err
				}))
				assert.Assert(t, blocks*512 < 16<<20, "%d bytes on the disk", blocks*512)
				_, err = b.rm(jobs.ImageDeleteIn{Image: image})
				assert.NilError(t, err)
			}
			b.assertNothingLeft(files, graph)
		}
	}
}

// The doors by which archives of strangers come in: load in both layouts, pull
// in both media types, import from a stream and from a URL. What is unpacked by
// one is unpacked by all; whatever it is, it stays inside of its root, and is
// gone without a trace after a refusal or a removal.
func TestHostileLayersAtEveryDoor(t *testing.T) {
	target, check := canary(t)
	for driver, open := range drivers(t) {
		for name, layer := range hostileForms(t, target) {
			t.Run(driver+"/"+name, func(t *testing.T) {
				s := newShop(t)
				b := openBench(t, t.TempDir(), open, func(c *Config) { c.Registry, c.MaxLayerBytes, c.DownloadAttempts = fastClient(t), 64<<20, 2 })
				base := layerTar(t, "a")
				b.mustLoad(dockerArchive(t, spec{tags: []string{"good:1"}, layers: [][]byte{base}}))
				files, graph := b.files(), b.graphIDs()
				evil := spec{tags: []string{"evil:1"}, layers: [][]byte{base, layer}}
				s.sell("docker", "1", &offer{spec: evil})
				s.sell("oci", "1", &offer{spec: evil, oci: true, pack: plain, change: func(m *ocispec.Manifest) {
					for n := range m.Layers {
						m.Layers[n].MediaType = ocispec.MediaTypeImageLayer
					}
				}})
				s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == "/rootfs.tar" {
						w.Write(layer)
					}
					return r.URL.Path == "/rootfs.tar"
				})
				l := newLayout(t)
				l.add(l.image(evil, evil.layers, tarLayer, tarLayer), map[string]string{"io.containerd.image.name": "docker.io/library/evil:1"})
				taken := map[string]bool{}
				for door, enter := range map[string]func() (image string, err error){
					"load":       func() (string, error) { _, err := b.load(dockerArchive(t, evil)); return "evil:1", err },
					"load oci":   func() (string, error) { _, err := b.load(l.tar()); return "evil:1", err },
					"pull":       func() (string, error) { _, err := b.pull(s.host+"/docker", "1"); return s.host + "/docker:1", err },
					"pull oci":   func() (string, error) { _, err := b.pull(s.host+"/oci", "1"); return s.host + "/oci:1", err },
					"import":     func() (string, error) { return b.importFrom("-", layer) },
					"import url": func() (string, error) { return b.importFrom("http://"+s.host+"/rootfs.tar", nil) },
				} {
					image, err := enter()
					check()
					if err == nil {
						_, err = b.rm(jobs.ImageDeleteIn{Image: image})
						assert.NilError(t, err, door)
						taken[door] = true
					}
					b.assertNothingLeft(files, graph)
					check()
				}
				assert.Equal(t, taken["load"], taken["pull"], "%v", taken)
				assert.Equal(t, taken["load oci"], taken["pull oci"], "%v", taken)
				assert.Equal(t, taken["import"], taken["import url"], "%v", taken)
				assert.DeepEqual(t, b.list(jobs.ImagesIn{All: true}), []string{"[good:1]"})
			})
		}
	}
}

func (b *bench) importFrom(source string, stream []byte) (string, error) {
	out, err := jobs.Import.Run(context.Background(), b.eng, jobs.ImportIn{Source: source, Repository: "evil"}, nil, stdin(stream))
	return out.ID, err
}
