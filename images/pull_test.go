package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/jobs"
)

func TestPullOfEveryKindOfManifestAndCompression(t *testing.T) {
	for _, oci := range []bool{false, true} {
		for name, pack := range map[string]func([]byte) []byte{"gzip": gz, "zstd": zst, "plain": plain} {
			t.Run(fmt.Sprintf("oci=%v %s", oci, name), func(t *testing.T) {
				s := newShop(t)
				o := s.sell("team/app", "v1", &offer{spec: threeLayers(t), oci: oci, pack: pack})
				b := newPuller(t, t.TempDir())
				ref := s.host + "/team/app"
				all := b.mustPull(ref, "v1")
				assert.DeepEqual(t, all[0], message{Status: "Pulling from team/app", ID: "v1"})
				for _, l := range o.layers {
					got := statuses(all, shortID(l.Digest.String()))
					assert.Equal(t, got[0], "Pulling fs layer")
					contains(t, got, "Download complete")
					assert.Equal(t, got[len(got)-1], "Pull complete")
				}
				assert.Equal(t, all[len(all)-2].Status, "Digest: "+o.digest.String())
				assert.Equal(t, lastOf(all), "Status: Downloaded newer image for "+ref+":v1")

				img, err := b.find(ref + ":v1")
				assert.NilError(t, err)
				assert.Equal(t, img.ID.String(), o.id(t))
				assert.DeepEqual(t, img.Digests, []string{ref + "@" + o.digest.String()})
				names, _ := b.blobFiles()
				assert.Equal(t, len(names), 0)
				assert.DeepEqual(t, b.events.take(), []string{"image pull " + ref})

				// Again, by tag and by digest: nothing is fetched but manifests.
				s.forget()
				all = b.mustPull(ref, "v1")
				assert.Equal(t, lastOf(all), "Status: Image is up to date for "+ref+":v1")
				all = b.mustPull(ref, o.digest.String())
				assert.Equal(t, lastOf(all), "Status: Image is up to date for "+ref+"@"+o.digest.String())
				assert.Equal(t, s.count("GET", "/blobs/"), 0)
				// It is the same for the next daemon.
				b = newPuller(t, b.root)
				_, err = b.find(ref + "@" + o.digest.String())
				assert.NilError(t, err)
			})
		}
	}
}

// A second image on the same base downloads what is new.
func TestLayersThatAreThereAreNotFetched(t *testing.T) {
	s := newShop(t)
	base := threeLayers(t)
	s.sell("app", "1", &offer{spec: base})
	more := base
	more.layers = append(more.layers[:3:3], layerTar(t, "new"))
	two := s.sell("app", "2", &offer{spec: more})
	b := newPuller(t, t.TempDir())
	b.mustPull(s.host+"/app", "1")
	s.forget()
	all := b.mustPull(s.host+"/app", "2")
	for n, l := range two.layers {
		got := statuses(all, shortID(l.Digest.String()))
		if n < 3 {
			assert.DeepEqual(t, got, []string{"Already exists"})
		} else {
			assert.Equal(t, got[len(got)-1], "Pull complete")
		}
	}
	assert.Equal(t, s.count("GET", "/blobs/"), 2) // the config and one layer
}

func TestThePlatformOfAnIndexIsChosen(t *testing.T) {
	s := newShop(t)
	sell := func(arch, variant string) ocispec.Descriptor {
		o := s.sell("multi", arch+variant, &offer{spec: spec{arch: arch, layers: [][]byte{layerTar(t, arch+variant)}}, oci: true})
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: o.digest, Size: int64(len(o.raw)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}}
	}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{
		sell("arm", "v6"), sell("arm", "v7"), sell("amd64", ""), sell("s390x", ""),
	}}
	index.SchemaVersion = 2
	raw, err := json.Marshal(index)
	assert.NilError(t, err)
	s.put("/v2/multi/manifests/all", index.MediaType, raw)
	b := newPuller(t, t.TempDir())
	platform := func(p string) func(*jobs.PullIn) { return func(in *jobs.PullIn) { in.Platform = p } }
	for wanted, file := range map[string]string{"linux/arm/v6": "armv6", "linux/arm": "armv7", "linux/arm/v8": "armv7", "linux/s390x": "s390x", "linux/amd64": "amd64"} {
		all := b.mustPull(s.host+"/multi", "all", platform(wanted))
		assert.Equal(t, all[len(all)-2].Status, "Digest: "+digest.FromBytes(raw).String()) // the index's
		img, err := b.find(s.host + "/multi:all")
		assert.NilError(t, err)
		assert.Equal(t, img.Config.RootFS.DiffIDs[0], digest.FromBytes(layerTar(t, file)), wanted)
	}
	_, err = b.pull(s.host+"/multi", "all", platform("linux/riscv64"))
	assert.ErrorContains(t, err, "no matching manifest for linux/riscv64 in the manifest list entries")
	_, err = b.pull(s.host+"/multi", "all", platform("plan 9!"))
	assert.Assert(t, errdefs.IsInvalidArgument(err), err)
}

func TestAllTagsOfARepositoryArePulled(t *testing.T) {
	s := newShop(t)
	for _, tag := range []string{"a", "b", "c"} {
		s.sell("app", tag, &offer{spec: spec{layers: [][]byte{layerTar(t, tag)}}})
	}
	b := newPuller(t, t.TempDir())
	all := b.mustPull(s.host+"/app", "", func(in *jobs.PullIn) { in.All = true })
	assert.Equal(t, lastOf(all), "Status: Downloaded newer image for "+s.host+"/app")
	assert.Equal(t, len(b.list(jobs.ImagesIn{})), 3)
}

func TestWhatARegistryDoesNotHaveIsDockersError(t *testing.T) {
	s := newShop(t)
	s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	_, err := b.pull(s.host+"/app", "2")
	assert.Assert(t, errdefs.IsNotFound(err))
	assert.ErrorContains(t, err, "manifest for "+s.host+"/app:2 not found: manifest unknown: ")
	_, err = b.pull(s.host+"/app", "sha256:xyz")
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	_, err = b.pull("BAD", "1")
	assert.Assert(t, errdefs.IsInvalidArgument(err))
}

// Twenty clients, one download; all see the end.
func TestTheSamePullIsJoined(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	const clients = 20
	// The layers are held back until all have asked for the manifest.
	var manifests sync.WaitGroup
	manifests.Add(clients)
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			manifests.Done()
		} else if isBlobGet(r, o.layers[2].Digest) {
			manifests.Wait()
		}
		return false
	})
	b := newPuller(t, t.TempDir())
	var wg sync.WaitGroup
	errs := make([]error, clients)
	outs := make([][]message, clients)
	for n := range clients {
		wg.Go(func() { outs[n], errs[n] = b.pull(s.host+"/app", "1") })
	}
	wg.Wait()
	for n := range clients {
		assert.NilError(t, errs[n])
		assert.Assert(t, strings.HasPrefix(lastOf(outs[n]), "Status: "))
	}
	for _, l := range o.layers {
		assert.Equal(t, s.count("GET", "/blobs/"+l.Digest.String()), 1)
	}
}

// Who goes away leaves the others alone; the last one to go ends the download,
// and the next one goes on where it was.
func TestACancelledPullCanBeResumed(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	big := o.layers[2]
	half := make(chan struct{})
	var once sync.Once
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if !isBlobGet(r, big.Digest) {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(big.Size))
		w.WriteHeader(200)
		w.Write(gz(o.spec.layers[2])[:big.Size/2])
		http.NewResponseController(w).Flush()
		once.Do(func() { close(half) })
		<-r.Context().Done()
		return true
	})
	b := newPuller(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := b.pullIn(ctx, s.host+"/app", "1")
		done <- err
	}()
	<-half
	for { // the half has to have arrived
		if _, n := b.blobFiles(); n >= big.Size/2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
	assert.Equal(t, len(b.list(jobs.ImagesIn{All: true})), 0)
	assert.Equal(t, len(b.graphIDs()), 0)

	// Another daemon goes on.
	b = newPuller(t, b.root)
	var ranges []string
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if isBlobGet(r, big.Digest) {
			ranges = append(ranges, r.Header.Get("Range"))
		}
		return false
	})
	b.mustPull(s.host+"/app", "1")
	assert.DeepEqual(t, ranges, []string{fmt.Sprintf("bytes=%d-%d", big.Size/2, big.Size-1)})
	names, _ := b.blobFiles()
	assert.Equal(t, len(names), 0)
}

// What an earlier process has left is not believed.
func TestASpoiledLeftoverIsFetchedAnew(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	b.leave(o.layers[2].Digest, bytes.Repeat([]byte("x"), 1000))
	b.leave(o.layers[1].Digest, bytes.Repeat([]byte("x"), 10<<20)) // longer than it can be
	b.mustPull(s.host+"/app", "1")
	img, err := b.find(s.host + "/app:1")
	assert.NilError(t, err)
	assert.Equal(t, img.ID.String(), o.id(t))
}

// It is unpacked before its digest is known, and is no tar: that is not the
// image's fault.
func TestASpoiledLeftoverThatIsUnpackedIsFetchedAnew(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	b.leave(o.layers[2].Digest, bytes.Repeat([]byte("x"), 500<<10)) // more than is read ahead
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if isBlobGet(r, o.layers[2].Digest) && r.Header.Get("Range") != "" {
			time.Sleep(300 * time.Millisecond) // the unpacker comes first; nothing goes wrong if it does not
		}
		return false
	})
	b.mustPull(s.host+"/app", "1")
	img, err := b.find(s.host + "/app:1")
	assert.NilError(t, err)
	assert.Equal(t, img.ID.String(), o.id(t))
}

// Of an image that is there nothing is kept to be resumed.
func TestLeftoversOfWhatIsThereAreRemoved(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	b.mustPull(s.host+"/app", "1")
	b = newPuller(t, b.root)
	b.leave(o.layers[0].Digest, gz(o.spec.layers[0]))
	b.leave(o.layers[2].Digest, []byte("begun"))
	b.mustPull(s.host+"/app", "1")
	names, _ := b.blobFiles()
	assert.Equal(t, len(names), 0, names)
}

// A third party's image_verify keeps an image out before anything is fetched.
func TestImageVerifyKeepsAnImageOut(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	var seen jobs.ImageVerifyIn
	refuse := errors.New("nobody has signed it")
	jobs.ImageVerify.Replace(b.eng, func(_ context.Context, _ *engine.Job, in jobs.ImageVerifyIn) (jobs.ImageVerifyOut, error) {
		seen = in
		return jobs.ImageVerifyOut{}, refuse
	})
	files, graph := b.files(), b.graphIDs()
	_, err := b.pull(s.host+"/app", "1")
	assert.ErrorIs(t, err, refuse)
	assert.Equal(t, seen.Digest, o.digest.String())
	assert.Equal(t, string(seen.Manifest), string(o.raw))
	assert.Equal(t, s.count("GET", "/blobs/"), 0)
	b.assertNothingLeft(files, graph)
}

// A mirror is asked first and gets no credentials; what it does not have comes
// from the registry itself.
func TestMirrorsAreAskedFirst(t *testing.T) {
	mirror, own := newShop(t), newShop(t)
	mirror.sell("app", "1", &offer{spec: threeLayers(t)})
	own.sell("app", "1", &offer{spec: threeLayers(t)})
	own.sell("app", "2", &offer{spec: spec{layers: [][]byte{layerTar(t, "two")}}})
	var shown atomic.Int32
	mirror.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			shown.Add(1)
		}
		return false
	})
	client, err := registry.New(registry.Config{CertDirs: []string{}, Mirrors: map[string][]string{own.host: {"http://" + mirror.host}}})
	assert.NilError(t, err)
	b := pullerWith(t, t.TempDir(), func(cfg *Config) { cfg.Registry = client })
	own.forget()
	b.mustPull(own.host+"/app", "1", withAuth("me", "secret"))
	assert.Equal(t, own.count("GET", ""), 0)
	b.mustPull(own.host+"/app", "2", withAuth("me", "secret"))
	assert.Equal(t, shown.Load(), int32(0))
	img, err := b.find(own.host + "/app:1")
	assert.NilError(t, err)
	assert.Equal(t, len(img.Digests), 1)
}
