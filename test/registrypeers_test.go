//go:build system

package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// Twenty clients want the same image at once: the registry is asked for each
// layer once, and all of them see the end.
func TestTwentyClientsPullOnce(t *testing.T) {
	e := start(t)
	behind := startRegistry(t)
	const clients = 20
	var mu sync.Mutex
	asked := map[string]int{} // blobs, by digest
	var manifests sync.WaitGroup
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: behind})
	counting := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		on := counting
		mu.Unlock()
		if _, digest, ok := strings.Cut(r.URL.Path, "/blobs/"); on && ok && r.Method == http.MethodGet {
			mu.Lock()
			asked[digest]++
			mu.Unlock()
			manifests.Wait() // nobody has anything before all have come
		} else if on && strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodGet {
			manifests.Done()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	ref := strings.TrimPrefix(srv.URL, "http://") + "/random:1"
	e.loadRandom(ref, 4, 1<<20)
	e.must("push", "-q", ref)
	id := e.must("images", "-q", "--no-trunc", ref)
	e.must("rmi", ref)

	manifests.Add(clients)
	mu.Lock()
	counting = true
	mu.Unlock()
	results := make([]harness.Result, clients)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() { results[n], errs[n] = e.Run(e.cli, "pull", ref) })
	}
	wg.Wait()
	for n, res := range results {
		assert.NilError(t, errs[n])
		assert.Equal(t, res.Code, 0, res.String())
		assert.Equal(t, strings.Count(res.Stdout, "Pull complete"), 4, res.String())
		assert.Assert(t, strings.Contains(res.Stdout, "Digest: sha256:"), res.String())
	}
	assert.Equal(t, len(asked), 5)
	for digest, n := range asked {
		assert.Equal(t, n, 1, digest)
	}
	assert.Equal(t, e.must("images", "-q", "--no-trunc"), id)
	e.must("system", "check", "--full")
}

// dockerd beside the engine, without a bridge.
func startOracle(t *testing.T) *harness.Daemon {
	t.Helper()
	d, err := harness.StartDockerd(harness.Options{})
	assert.NilError(t, err)
	t.Cleanup(func() {
		if err := d.Destroy(); err != nil {
			t.Errorf("dockerd: %v", err)
		}
	})
	fd, err := os.Open(busybox)
	assert.NilError(t, err)
	defer fd.Close()
	code, text, _, err := d.Do("POST", "/images/load?quiet=1", fd)
	assert.NilError(t, err)
	assert.Equal(t, code, 200, text)
	return d
}

// What dockerd has built and pushed is here the same image, by id and digest,
// and goes back without a byte of a layer; what is committed and pushed here is
// the same there.
func TestImagesGoToDockerdAndBackByTheRegistry(t *testing.T) {
	clis := harness.DockerCLIs()
	if len(clis) == 0 {
		t.Skip("no docker client")
	}
	docker := clis[0]
	d := startOracle(t)
	e := startLoaded(t)
	behind := startRegistry(t)
	c := newCounter(t, behind)
	theirs := func(args ...string) string {
		t.Helper()
		cmd := d.Command(docker, args...)
		cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=0")
		res, err := cmd.Run(t.Context())
		assert.NilError(t, err)
		assert.Equal(t, res.Code, 0, "docker %s: %s", args, res)
		return res.Out()
	}
	context := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(context, "file"), []byte(strings.Repeat("some text ", 20_000)), 0o640))
	assert.NilError(t, os.WriteFile(filepath.Join(context, "Dockerfile"), []byte("FROM busybox\nCOPY file /copied\nRUN rm /etc/passwd && ln -s copied /link && echo made >/made\nENV A=b\nCMD [\"cat\", \"/made\"]\n"), 0o644))

	built := c.host + "/built:1"
	theirs("build", "-q", "--network", "none", "-t", built, context)
	theirs("push", built)
	e.must("pull", "-q", built)
	const show = "{{.Id}} {{json .RepoDigests}} {{json .RootFS.Layers}} {{json .Config.Env}} {{json .Config.Cmd}}"
	inspect := func(name string) {
		t.Helper()
		assert.Equal(t, e.must("inspect", "-f", show, name), theirs("inspect", "-f", show, name))
	}
	inspect(built)
	assert.Equal(t, e.must("run", "--rm", "--network", "none", built), "made")
	assert.Equal(t, e.must("run", "--rm", "--network", "none", built, "sh", "-c", "ls /etc/passwd 2>/dev/null; readlink /link; wc -c </copied"), "copied\n200000")

	// Back under another name: but for the config, which is not mounted, not a byte of a blob goes over the wire.
	posts := c.uploads()
	again := c.host + "/again:1"
	e.must("tag", built, again)
	e.must("push", "-q", again)
	assert.Equal(t, e.must("images", "--digests", "--format", "{{.Digest}}", c.host+"/again"), e.must("images", "--digests", "--format", "{{.Digest}}", c.host+"/built"))
	assert.Equal(t, c.uploads(), posts+2) // its bytes, and their end
	e.must("push", "-q", built)
	e.must("push", "-q", again)
	assert.Equal(t, c.uploads(), posts+2)
	theirs("pull", again)
	assert.Equal(t, theirs("inspect", "-f", "{{.Id}}", again), theirs("inspect", "-f", "{{.Id}}", built))

	// And what is made here.
	e.must("run", "--name", "one", "--network", "none", built, "sh", "-c", "rm /made; mkdir -p /a/b; echo here >/a/b/c; chmod 4755 /copied")
	made := c.host + "/made:1"
	e.must("commit", "-c", "CMD cat /a/b/c", "one", made)
	e.must("rm", "one")
	e.must("push", "-q", made)
	theirs("pull", made)
	inspect(made)
	assert.Equal(t, theirs("run", "--rm", "--network", "none", made), "here")
	assert.Equal(t, theirs("run", "--rm", "--network", "none", made, "sh", "-c", "ls /made 2>/dev/null; stat -c %a /copied"), "4755")
	theirs("rmi", made, again, built)
	theirs("pull", made)
	back := c.host + "/back:1"
	theirs("tag", made, back)
	theirs("push", back)
	e.must("pull", "-q", back)
	assert.Equal(t, e.must("inspect", "-f", "{{.Id}}", back), e.must("inspect", "-f", "{{.Id}}", made))
	assert.Equal(t, e.must("images", "--digests", "--format", "{{.Digest}}", c.host+"/back"), e.must("images", "--digests", "--format", "{{.Digest}}", c.host+"/made"))
	e.must("system", "check", "--full")
}

// Skopeo speaks to the engine as it does to dockerd, in both directions, and
// between the engine and a registry.
func TestSkopeoCopiesThroughTheDaemon(t *testing.T) {
	e := startLoaded(t)
	host := startRegistry(t)
	id := e.must("images", "-q", "--no-trunc", "busybox")
	skopeo := func(args ...string) {
		t.Helper()
		out, err := exec.Command("skopeo", append([]string{"--insecure-policy"}, args...)...).CombinedOutput()
		assert.NilError(t, err, "%s: %s", args, out)
	}
	from := func(name string) []string { return []string{"--src-daemon-host", e.Host(), "docker-daemon:" + name} }
	layout := filepath.Join(t.TempDir(), "layout")
	// Out of the engine, into a registry, a layout and an archive.
	skopeo(slices.Concat([]string{"copy", "--dest-tls-verify=false"}, from("busybox:latest"), []string{"docker://" + host + "/out:1"})...)
	skopeo(slices.Concat([]string{"copy"}, from("busybox:latest"), []string{"oci:" + layout + ":1"})...)
	e.must("rmi", "busybox")
	e.must("pull", "-q", host+"/out:1")
	assert.Equal(t, e.must("images", "-q", "--no-trunc", host+"/out:1"), id)
	assert.Equal(t, e.must("run", "--rm", "--network", "none", host+"/out:1", "echo", "hello"), "hello")
	// And into it.
	for n, source := range []string{"docker://" + host + "/out:1", "oci:" + layout + ":1"} {
		name := fmt.Sprintf("in:%d", n)
		skopeo("copy", "--src-tls-verify=false", "--dest-daemon-host", e.Host(), source, "docker-daemon:"+name)
		assert.Equal(t, e.must("run", "--rm", "--network", "none", name, "echo", "hello"), "hello")
	}
	assert.Equal(t, e.must("images", "-q", "--no-trunc", "in:0"), id)
	e.must("system", "check", "--full")
}
