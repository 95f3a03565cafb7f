package images

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

// What broke off and is kept goes with a prune, and counts; what is being
// downloaded stays.
func TestPruneRemovesKeptDownloads(t *testing.T) {
	s := newShop(t)
	o := s.sell("app", "1", &offer{spec: threeLayers(t)})
	b := newPuller(t, t.TempDir())
	prune := func(f filters.Args) uint64 {
		t.Helper()
		out, err := jobs.ImagePrune.Run(context.Background(), b.eng, jobs.ImagePruneIn{Filters: f})
		assert.NilError(t, err)
		return out.SpaceReclaimed
	}
	old := func(text string, age time.Duration) {
		t.Helper()
		d := digest.FromString(text)
		b.leave(d, bytes.Repeat([]byte("x"), 1000))
		at := time.Now().Add(-age)
		assert.NilError(t, os.Chtimes(filepath.Join(b.root, "images", "test", "blobs", d.Encoded()), at, at))
	}
	old("two days", 48*time.Hour)
	old("an hour", time.Hour)
	arg := func(key, value string) filters.Args { return filters.Args{key: {value}} }
	assert.Equal(t, prune(arg("label", "a=b")), uint64(0))
	assert.Equal(t, prune(arg("until", time.Now().Add(-24*time.Hour).Format(time.RFC3339))), uint64(1000))

	// A layer is on its way, held back by the registry.
	begun, hold := make(chan struct{}), make(chan struct{})
	s.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if isBlobGet(r, o.layers[2].Digest) {
			w.Write(gz(o.spec.layers[2])[:1000])
			http.NewResponseController(w).Flush()
			close(begun)
			<-hold
			s.spoil(nil)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	done := make(chan error, 1)
	go func() {
		_, err := b.pull(s.host+"/app", "1")
		done <- err
	}()
	<-begun
	assert.Equal(t, prune(nil), uint64(1000)) // the one that is an hour old
	close(hold)
	assert.NilError(t, <-done)
	names, _ := b.blobFiles()
	assert.Equal(t, len(names), 0)
	assert.Equal(t, prune(nil), uint64(0))
}
