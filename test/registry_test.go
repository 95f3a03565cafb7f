//go:build system

package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// startRegistry runs Debian's docker-registry on loopback and gives its address.
func startRegistry(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	host := l.Addr().String()
	assert.NilError(t, l.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), host)
	assert.NilError(t, os.WriteFile(config, []byte(text), 0o600))
	cmd := exec.Command("docker-registry", "serve", config)
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, "the registry answers", func() bool {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return host
}

// loadRandom loads an image of some layers that do not compress.
func (e *engine) loadRandom(name string, layers, size int) {
	e.t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var parts [][]byte
	for n := range layers {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		parts = append(parts, harness.Tar(harness.File(fmt.Sprintf("file%d", n), string(body))))
	}
	code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(harness.ImageArchive(name, parts, nil))))
	assert.NilError(e.t, err)
	assert.Equal(e.t, code, 200, text)
}

// Killed at any moment of a pull, the daemon comes back without half an image,
// asks the registry for what it has not got and for nothing else, and leaves
// nothing of the first pull. TORTURE_ROUNDS=50 TORTURE_SEED=N for more of it.
func TestKillsDuringPullsLeaveNoHalfImage(t *testing.T) {
	e := start(t)
	c := newCounter(t, startRegistry(t))
	rng := rand.New(rand.NewPCG(seed(t), 6))
	ref := c.host + "/random:1"
	e.loadRandom(ref, 4, 3<<20)
	e.must("push", "-q", ref)
	id := e.must("images", "-q", "--no-trunc", ref)
	e.must("rmi", ref)
	c.after(0)
	began := time.Now()
	e.must("pull", "-q", ref)
	usual := time.Since(began)
	whole := c.after(0)
	delete(whole, strings.TrimPrefix(id, "sha256:")) // the config is not resumed
	assert.Equal(t, len(whole), 4)
	var total int64
	for _, n := range whole {
		total += n
	}
	blobs, err := filepath.Glob(filepath.Join(e.DataRoot, "images", "*", "blobs"))
	assert.NilError(t, err)
	assert.Equal(t, len(blobs), 1)
	var listed, resumed int
	var saved int64
	for round := range rounds(8) {
		e.must("rmi", ref)
		c.after(0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(e.cli, "pull", "-q", ref) // dies with the daemon
		}()
		if round%2 == 0 { // at any byte, or at any moment of the whole
			c.await(rng.Int64N(total), done)
		} else {
			time.Sleep(time.Duration(rng.Int64N(int64(usual))))
		}
		e.Kill()
		<-done
		kept := map[string]int64{}
		left, err := os.ReadDir(blobs[0])
		assert.NilError(t, err)
		for _, f := range left {
			info, err := f.Info()
			assert.NilError(t, err)
			kept[f.Name()] = info.Size()
		}
		c.after(0)
		assert.NilError(t, e.Start(), "round %d", round)
		have := e.must("images", "-q", "--no-trunc")
		if have != "" {
			assert.Equal(t, have, id)
			e.must("system", "check", "--full")
			listed++
		}
		e.must("pull", "-q", ref)
		assert.Equal(t, e.must("images", "-q", "--no-trunc", ref), id)
		sent := c.after(0)
		for digest, size := range whole {
			want := size - kept[digest]
			if have != "" {
				want = 0
			}
			assert.Equal(t, sent[digest], want, "round %d: of %d bytes %d were there", round, size, kept[digest])
			saved += size - want
		}
		if have == "" && len(kept) > 0 {
			resumed++
		}
		e.must("system", "check", "--full")
		left, err = os.ReadDir(blobs[0])
		assert.NilError(t, err)
		assert.Equal(t, len(left), 0)
	}
	t.Logf("%d kills: %d after the image was whole, %d resumed, %d bytes not fetched again", rounds(8), listed, resumed, saved)
}

// What skopeo copies pulls here as the same image, and what is pushed here
// skopeo takes.
func TestSkopeoCopiesThroughTheRegistry(t *testing.T) {
	e := startLoaded(t)
	host := startRegistry(t)
	e.must("tag", "busybox", host+"/ours:1")
	e.must("push", "-q", host+"/ours:1")
	id := e.must("images", "-q", "--no-trunc", "busybox")
	skopeo := func(args ...string) {
		t.Helper()
		out, err := exec.Command("skopeo", append([]string{"--insecure-policy"}, args...)...).CombinedOutput()
		assert.NilError(t, err, "%s", out)
	}
	skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+host+"/ours:1", "docker://"+host+"/theirs:1")
	// Skopeo writes the config anew for a layout of the OCI: another image, but one.
	layout := "oci:" + filepath.Join(t.TempDir(), "layout") + ":1"
	skopeo("copy", "--src-tls-verify=false", "docker://"+host+"/ours:1", layout)
	skopeo("copy", "--dest-tls-verify=false", layout, "docker://"+host+"/oci:1")
	e.must("pull", "-q", host+"/oci:1")
	assert.Equal(t, e.must("run", "--rm", host+"/oci:1", "echo", "hello"), "hello")
	e.must("pull", "-q", host+"/theirs:1")
	e.must("rmi", "-f", host+"/theirs:1", host+"/ours:1", "busybox")
	e.must("pull", "-q", host+"/theirs:1")
	pushed := e.must("images", "--format", "{{.Digest}}", "--digests", host+"/theirs")
	assert.Assert(t, strings.HasPrefix(pushed, "sha256:"))
	assert.Equal(t, e.must("images", "-q", "--no-trunc", host+"/theirs:1"), id)
	e.must("tag", host+"/theirs:1", host+"/back:1")
	e.must("push", "-q", host+"/back:1")
	skopeo("copy", "--src-tls-verify=false", "docker://"+host+"/back:1", "docker-archive:"+filepath.Join(t.TempDir(), "a.tar"))
	assert.Equal(t, e.must("images", "--format", "{{.Digest}}", "--digests", host+"/back"), pushed)
}
