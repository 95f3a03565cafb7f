//go:build system

package test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// counter is a proxy in front of a registry that counts what it hands out of blobs.
type counter struct {
	host string
	mu   sync.Mutex
	hold int64            // bytes of a blob after which it says no more; 0 says all
	sent map[string]int64 // by digest
	puts int              // requests that bring bytes of blobs
}

func newCounter(t *testing.T, registry string) *counter {
	t.Helper()
	c := &counter{sent: map[string]int64{}}
	target := &url.URL{Scheme: "http", Host: registry}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			if m := resp.Request.Method; strings.Contains(resp.Request.URL.Path, "/blobs/uploads/") && (m == http.MethodPatch || m == http.MethodPut) {
				c.mu.Lock()
				c.puts++
				c.mu.Unlock()
			}
			_, digest, ok := strings.Cut(resp.Request.URL.Path, "/blobs/sha256:")
			if ok && resp.Request.Method == http.MethodGet && resp.StatusCode < 300 {
				c.mu.Lock()
				defer c.mu.Unlock()
				resp.Body = &counted{ReadCloser: resp.Body, c: c, digest: digest, left: c.hold, done: resp.Request.Context().Done()}
			}
			return nil
		},
	}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	c.host = strings.TrimPrefix(srv.URL, "http://")
	return c
}

// after sets the bytes to hold at, and gives what was sent of blobs until now.
func (c *counter) after(hold int64) (sent map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, c.sent, c.hold = c.sent, map[string]int64{}, hold
	return sent
}

// uploads is how many requests have brought bytes of blobs.
func (c *counter) uploads() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.puts
}

// await returns when so many bytes of blobs were handed out, or who asks has ended.
func (c *counter) await(bytes int64, done <-chan struct{}) {
	for {
		c.mu.Lock()
		var n int64
		for _, sent := range c.sent {
			n += sent
		}
		c.mu.Unlock()
		if n >= bytes {
			return
		}
		select {
		case <-done:
			return
		case <-time.After(200 * time.Microsecond):
		}
	}
}

type counted struct {
	io.ReadCloser
	c      *counter
	digest string
	left   int64 // 0 is all
	done   <-chan struct{}
}

func (b *counted) Read(p []byte) (int, error) {
	held := b.left != 0
	if held {
		if b.left == 1 {
			<-b.done
			return 0, io.ErrUnexpectedEOF
		}
		p = p[:min(int64(len(p)), b.left-1)]
	}
	n, err := b.ReadCloser.Read(p)
	if held {
		b.left -= int64(n)
	}
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.c.sent[b.digest] += int64(n)
	return n, err
}

// Killed in the middle of a pull, the daemon asks the registry for the rest only.
func TestAKilledPullIsResumed(t *testing.T) {
	e := start(t)
	c := newCounter(t, startRegistry(t))
	ref := c.host + "/random:1"
	const layers, size, hold = 3, 3 << 20, 2 << 20
	e.loadRandom(ref, layers, size)
	e.must("push", "-q", ref)
	id := e.must("images", "-q", "--no-trunc", ref)
	e.must("rmi", ref)
	blobs, err := filepath.Glob(filepath.Join(e.DataRoot, "images", "*", "blobs"))
	assert.NilError(t, err)
	assert.Equal(t, len(blobs), 1)

	c.after(hold)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(e.cli, "pull", "-q", ref) // dies with the daemon
	}()
	kept := func() map[string]int64 {
		files, err := os.ReadDir(blobs[0])
		assert.NilError(t, err)
		all := map[string]int64{}
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				all[f.Name()] = info.Size()
			}
		}
		return all
	}
	eventually(t, "every layer is held in its middle", func() bool {
		all := kept()
		for _, n := range all {
			if n < hold-1 {
				return false
			}
		}
		return len(all) == layers
	})
	e.Kill()
	<-done
	before := kept()
	c.after(0)
	assert.NilError(t, e.Start())
	assert.DeepEqual(t, kept(), before)
	e.must("pull", "-q", ref)
	assert.Equal(t, e.must("images", "-q", "--no-trunc", ref), id)
	sent := c.after(0)
	var sizes []int64
	for digest, n := range before {
		assert.Assert(t, n >= hold-1 && n < size, "%s: %d", digest, n)
		sizes = append(sizes, sent[digest]+n)
	}
	assert.Equal(t, len(sizes), layers)

	// From nothing it is as much as both parts were together.
	e.must("rmi", ref)
	e.must("pull", "-q", ref)
	whole := c.after(0)
	for digest, n := range before {
		assert.Equal(t, sent[digest]+n, whole[digest], digest)
	}
}
