package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

func (b *bench) push(image, tag string) ([]message, error) {
	var out bytes.Buffer
	_, err := jobs.Push.Run(context.Background(), b.eng, jobs.PushIn{Image: image, Tag: tag}, nil, engine.Stdout(&out))
	return messagesOf(b.t, out.Bytes()), err
}

func (b *bench) mustPush(image, tag string) []message {
	b.t.Helper()
	m, err := b.push(image, tag)
	assert.NilError(b.t, err)
	return m
}

func lastAux(t *testing.T, all []message) (tag string, d digest.Digest) {
	t.Helper()
	var aux struct {
		Tag    string
		Digest digest.Digest
		Size   int
	}
	assert.NilError(t, json.Unmarshal(all[len(all)-1].Aux, &aux))
	assert.Assert(t, aux.Size > 0)
	return aux.Tag, aux.Digest
}

// What was pulled is pushed without a byte of a layer, and has the digest that
// it had, whatever its kind.
func TestPushingWhatWasPulledUploadsNothing(t *testing.T) {
	for _, oci := range []bool{false, true} {
		for name, pack := range map[string]func([]byte) []byte{"gzip": gz, "zstd": zst, "plain": plain} {
			t.Run(fmt.Sprintf("oci=%v %s", oci, name), func(t *testing.T) {
				s := newShop(t)
				o := s.sell("app", "1", &offer{spec: threeLayers(t), oci: oci, pack: pack})
				b := newPuller(t, t.TempDir())
				b.mustPull(s.host+"/app", "1")
				b = newPuller(t, b.root) // the next daemon knows it, too
				b.mustTag(s.host+"/app:1", s.host+"/app", "2")
				s.forget()
				all := b.mustPush(s.host+"/app", "2")
				assert.Equal(t, all[0].Status, "The push refers to repository ["+s.host+"/app]")
				for _, diffID := range o.spec.layers {
					got := statuses(all, shortID(digest.FromBytes(diffID).String()))
					assert.DeepEqual(t, got, []string{"Preparing", "Layer already exists"})
				}
				tag, d := lastAux(t, all)
				assert.Equal(t, tag, "2")
				assert.Equal(t, d, o.digest)
				assert.Equal(t, s.count("POST", "")+s.count("PATCH", ""), 0)
			})
		}
	}
}

// An image that was made here is uploaded, pulls again as the same, and the
// second push uploads nothing.
func TestAPushedImageIsTheSameForOthers(t *testing.T) {
	s := newShop(t)
	o := threeLayers(t)
	o.tags = []string{s.host + "/mine:1", s.host + "/mine:2"}
	b := newPuller(t, t.TempDir())
	b.mustLoad(dockerArchive(t, o))
	b.events.take()
	all := b.mustPush(s.host+"/mine", "1")
	_, first := lastAux(t, all)
	for _, l := range o.layers {
		got := statuses(all, shortID(digest.FromBytes(l).String()))
		assert.Equal(t, got[len(got)-1], "Pushed")
	}
	assert.DeepEqual(t, b.events.take(), []string{"image push " + s.host + "/mine"})
	img, err := b.find(s.host + "/mine@" + first.String())
	assert.NilError(t, err)
	assert.Equal(t, img.ID.String(), o.id(t))

	s.forget()
	all = b.mustPush(s.host+"/mine", "") // all tags
	assert.Equal(t, s.count("PATCH", ""), 0)
	_, second := lastAux(t, all)
	assert.Equal(t, second, first)

	other := newPuller(t, t.TempDir())
	other.mustPull(s.host+"/mine", "2")
	img, err = other.find(s.host + "/mine:2")
	assert.NilError(t, err)
	assert.Equal(t, img.ID.String(), o.id(t))
}

// A layer that breaks on the way goes on where it was.
func TestABrokenUploadGoesOn(t *testing.T) {
	s := newShop(t)
	o := threeLayers(t)
	o.tags = []string{s.host + "/mine:1"}
	b := newPuller(t, t.TempDir())
	b.mustLoad(dockerArchive(t, o))
	u := &uploads{all: map[string]*bytes.Buffer{}, breakAt: 100 << 10}
	s.spoil(u.serve)
	all := b.mustPush(s.host+"/mine", "1")
	assert.Assert(t, u.broken > 0)
	assert.Assert(t, u.resumed > 0)
	got := statuses(all, shortID(digest.FromBytes(o.layers[2]).String()))
	assert.Equal(t, got[len(got)-1], "Pushed")
	assert.Assert(t, strings.Contains(strings.Join(got, " "), "Retrying in"), got)
	assert.Equal(t, u.bad, 0)
}

// uploads is the part of a registry that takes blobs, and lets the first one
// break that is long enough.
type uploads struct {
	mu      sync.Mutex
	all     map[string]*bytes.Buffer
	breakAt int64
	broken  int
	resumed int
	bad     int // digests
}

func (u *uploads) serve(w http.ResponseWriter, r *http.Request) bool {
	_, id, ok := strings.Cut(r.URL.Path, "/blobs/uploads/")
	if !ok {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
			w.WriteHeader(404)
			return true
		}
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			w.WriteHeader(201)
			return true
		}
		return false
	}
	u.mu.Lock()
	if r.Method == http.MethodPost {
		id = fmt.Sprint(len(u.all))
		u.all[id] = &bytes.Buffer{}
		w.Header().Set("Location", r.URL.Path+id)
		w.WriteHeader(202)
		u.mu.Unlock()
		return true
	}
	have := u.all[id]
	u.mu.Unlock()
	w.Header().Set("Location", r.URL.Path)
	switch r.Method {
	case http.MethodPatch:
		if text := r.Header.Get("Content-Range"); text != "" {
			u.mu.Lock()
			u.resumed++
			u.mu.Unlock()
			if text != fmt.Sprintf("%d-", have.Len()) {
				w.WriteHeader(416)
				return true
			}
		}
		n, _ := io.CopyN(have, r.Body, u.breakAt)
		u.mu.Lock()
		dies := n == u.breakAt && u.broken == 0
		if dies {
			u.broken++
		}
		u.mu.Unlock()
		if dies {
			panic(http.ErrAbortHandler)
		}
		io.Copy(have, r.Body)
		w.WriteHeader(202)
	case http.MethodGet:
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, have.Len()-1)))
		w.WriteHeader(204)
	case http.MethodPut:
		if digest.FromBytes(have.Bytes()).String() != r.URL.Query().Get("digest") {
			u.mu.Lock()
			u.bad++
			u.mu.Unlock()
			http.Error(w, `{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}`, 400)
			return true
		}
		w.WriteHeader(201)
	default:
		w.WriteHeader(204)
	}
	return true
}

func TestWhatIsNotHereCannotBePushed(t *testing.T) {
	s := newShop(t)
	o := threeLayers(t)
	o.tags = []string{s.host + "/mine:1"}
	b := newPuller(t, t.TempDir())
	b.mustLoad(dockerArchive(t, o))
	_, err := b.push(s.host+"/other", "1")
	assert.Error(t, err, "An image does not exist locally with the tag: "+s.host+"/other")
	_, err = b.push(s.host+"/mine", "2")
	assert.Error(t, err, "tag does not exist: "+s.host+"/mine:2")
	_, err = b.push(s.host+"/mine@"+digest.FromString("x").String(), "")
	assert.ErrorContains(t, err, "cannot push a digest reference")
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`, http.StatusForbidden)
			return true
		}
		return false
	})
	_, err = b.push(s.host+"/mine", "1")
	assert.Error(t, err, "denied: requested access to the resource is denied")
}

// A layer that another repository of the registry has is mounted.
func TestLayersAreMountedFromOtherRepositories(t *testing.T) {
	s := newShop(t)
	o := s.sell("team/base", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	b.mustPull(s.host+"/team/base", "1")
	b.mustTag(s.host+"/team/base:1", s.host+"/team/new", "1")
	var mounts []string
	var mu sync.Mutex
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		switch {
		case r.Method == http.MethodPost && q.Get("mount") != "":
			mu.Lock()
			mounts = append(mounts, q.Get("from"))
			mu.Unlock()
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodHead && strings.HasPrefix(r.URL.Path, "/v2/team/new/blobs/"):
			w.WriteHeader(404)
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
			w.WriteHeader(http.StatusCreated)
		default:
			return false
		}
		return true
	})
	all := b.mustPush(s.host+"/team/new", "1")
	assert.DeepEqual(t, mounts, []string{"team/base", "team/base", "team/base"})
	for _, l := range o.spec.layers {
		got := statuses(all, shortID(digest.FromBytes(l).String()))
		assert.Equal(t, got[len(got)-1], "Mounted from team/base")
	}
	_, d := lastAux(t, all)
	assert.Equal(t, d, o.digest)
}

func TestDistributionInspectTellsPlatforms(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	out, err := jobs.DistributionInspect.Run(context.Background(), b.eng, jobs.DistributionInspectIn{Image: s.host + "/app:1"})
	assert.NilError(t, err)
	assert.Equal(t, out.Descriptor.Digest, o.digest)
	assert.DeepEqual(t, out.Platforms, []ocispec.Platform{{OS: "linux", Architecture: "amd64"}})
	raw, err := jobs.ManifestInspect.Run(context.Background(), b.eng, jobs.ManifestInspectIn{Image: s.host + "/app:1"})
	assert.NilError(t, err)
	assert.Equal(t, string(raw.Manifest), string(o.raw))
	_, err = jobs.DistributionInspect.Run(context.Background(), b.eng, jobs.DistributionInspectIn{Image: s.host + "/app:2"})
	assert.Assert(t, err != nil && !errors.Is(err, context.Canceled))
}
