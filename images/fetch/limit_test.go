package fetch

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"
)

// Who waits for a turn gets it when there may be more at the same time, and
// nobody gets one above a limit that was lowered.
func TestTheLimitOfDownloadsCanChange(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Parallel: 1, Attempts: 1, Wait: time.Millisecond})
	assert.NilError(t, err)
	var running atomic.Int32
	end := make(chan struct{})
	open := func(ctx context.Context, _ int64) (io.ReadCloser, int64, error) {
		running.Add(1)
		defer running.Add(-1)
		select {
		case <-end:
		case <-ctx.Done():
		}
		return nil, 0, errors.New("that was it")
	}
	reach := func(n int32) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); running.Load() != n; time.Sleep(time.Millisecond) {
			assert.Assert(t, time.Now().Before(deadline), "%d of %d run", running.Load(), n)
		}
	}
	var blobs []*Blob
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		blobs = append(blobs, s.Get(digest.FromString(name), 10, open))
	}
	reach(1)
	s.Limit(3, 0)
	reach(3)
	s.Limit(1, 7)
	assert.Equal(t, s.attempts(), 7)
	blobs[0].Release(false) // two are left: nobody takes the place
	blobs[1].Release(false)
	reach(1)
	s.mu.Lock()
	active, waiting := s.active, len(s.queue)
	s.mu.Unlock()
	assert.Equal(t, active, 1)
	assert.Equal(t, waiting, 2)
	blobs[2].Release(false)
	reach(1) // the next one
	close(end)
	for _, b := range blobs[3:] {
		b.Release(false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(t, s.active, 0)
}
