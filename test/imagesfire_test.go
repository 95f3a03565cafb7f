//go:build system

package test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// Pulls that run to their end and pulls whose clients go away, pushes, tags,
// removals, prunes and containers of the same images, all at once, and the
// daemon killed in between: what is listed is whole, what is refused is refused
// for a reason, and when all is removed nothing is left.
func TestImagesUnderFire(t *testing.T) {
	e := startLoaded(t)
	behind := startRegistry(t)
	const images = 4
	ref := func(n int) string { return fmt.Sprintf("%s/fire/i%d:1", behind, n) }
	base := harness.Tar(harness.File("base", strings.Repeat("base", 100_000)))
	for n := range images {
		layers := [][]byte{base}
		for m := range n + 1 { // each has what the one before has, and a layer more
			layers = append(layers, harness.Tar(harness.File(fmt.Sprintf("layer%d", m), strings.Repeat(fmt.Sprint(m), 200_000))))
		}
		code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(harness.ImageArchive(ref(n), layers, nil))))
		assert.NilError(t, err)
		assert.Equal(t, code, 200, text)
		e.must("push", "-q", ref(n))
	}
	for n := range images {
		e.must("rmi", "-f", ref(n))
	}
	before, names := e.onDisk()
	keep := e.must("images", "-q", "--no-trunc")

	var mu sync.Mutex
	seen := map[string]int{}
	note := func(what, text string, code int, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			seen[what+": the connection broke"]++
		case strings.Contains(text, `"errorDetail"`) || code >= 400:
			for _, line := range strings.Split(text, "\n") {
				if strings.Contains(line, "essage") && (code >= 400 || strings.Contains(line, "errorDetail")) {
					for n := range images {
						line = strings.ReplaceAll(line, strings.TrimSuffix(ref(n), ":1"), "IMAGE")
					}
					seen[fmt.Sprintf("%s: %d %s", what, code, strings.TrimSpace(line))]++
				}
			}
		default:
			seen[what+": done"]++
		}
	}
	deed := func(r *rand.Rand, id string) {
		name := ref(r.IntN(images))
		repo := strings.TrimSuffix(name, ":1")
		switch what := r.IntN(16); what {
		case 0, 1, 2, 3:
			code, text, _, err := e.Do("POST", "/images/create?fromImage="+repo+"&tag=1", nil)
			note("pull", text, code, err)
		case 4, 5: // a client that goes away somewhere on the way
			if c, err := net.Dial("unix", e.Socket); err == nil {
				fmt.Fprintf(c, "POST %s/images/create?fromImage=%s&tag=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", harness.Version, repo)
				io.CopyN(io.Discard, c, r.Int64N(3000))
				c.Close()
			}
		case 6, 7:
			code, text, _, err := e.Do("DELETE", "/images/"+name+"?force="+fmt.Sprint(r.IntN(2)), nil)
			note("rmi", text, code, err)
		case 8:
			code, text, _, err := e.Do("POST", "/images/"+name+"/tag?repo=moving&tag=1", nil)
			note("tag", text, code, err)
		case 9:
			code, text, _, err := e.Do("POST", "/images/"+repo+"/push?tag=1", nil, "X-Registry-Auth", "e30=")
			note("push", text, code, err)
		case 10:
			code, text, _, err := e.Do("POST", "/images/prune", nil)
			note("prune", text, code, err)
		case 11, 12, 13:
			code, text, _, err := e.Do("POST", "/containers/create?name="+id, map[string]any{"Image": name, "Cmd": []string{"x"}})
			note("create", text, code, err)
			if code == http.StatusCreated {
				code, text, _, err = e.Do("DELETE", "/containers/"+id, nil)
				note("rm", text, code, err)
			}
		case 14:
			code, text, _, err := e.Do("GET", "/images/"+name+"/get", nil)
			if code == http.StatusOK {
				text = ""
			}
			note("save", text, code, err)
		case 15:
			code, text, _, err := e.Do("GET", "/images/json?shared-size=1", nil)
			note("images", text, code, err)
		}
	}
	rng := dice(t)
	for phase := range size(3, 30) {
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var killed sync.WaitGroup
		killAt := 20 + rng.IntN(60)
		killed.Add(killAt)
		var done sync.Mutex
		count := 0
		for worker := range 8 {
			r := rand.New(rand.NewPCG(rng.Uint64(), uint64(worker)))
			wg.Go(func() {
				for n := 0; n < 20 && ctx.Err() == nil; n++ {
					deed(r, fmt.Sprintf("c-%d-%d-%d", phase, worker, n))
					done.Lock()
					if count++; count <= killAt {
						killed.Done()
					}
					done.Unlock()
				}
			})
		}
		if phase%3 == 1 {
			killed.Wait()
			e.Kill()
			stop()
		}
		wg.Wait()
		stop()
		if phase%3 == 1 {
			assert.NilError(t, e.Start())
		}
		checked := e.any("system", "check", "--full")
		assert.Equal(t, checked.Code, 0, checked.String())
	}
	for text, n := range seen {
		t.Logf("%4d %s", n, text)
		// An image that goes away while it is pulled is pulled again, and nobody is told of our files.
		assert.Check(t, !strings.HasPrefix(text, "pull: 4") && !strings.HasPrefix(text, "pull: 5"), text)
		assert.Check(t, !strings.HasPrefix(text, "push: ") || !strings.Contains(text, e.DataRoot), text)
	}
	// A restart changes nothing of what is listed.
	listed := e.must("images", "-a", "--digests", "--no-trunc")
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("images", "-a", "--digests", "--no-trunc"), listed)
	e.must("system", "check", "--full")
	// And all of them can be had, whatever was there.
	for n := range images {
		e.must("pull", "-q", ref(n))
	}
	assert.NilError(t, e.Clear())
	for n := range images {
		e.must("rmi", "-f", ref(n))
	}
	e.any("rmi", "moving:1")
	e.must("image", "prune", "-f")
	for _, id := range strings.Fields(e.must("images", "-aq", "--no-trunc")) {
		if !strings.Contains(keep, id) {
			e.must("rmi", "-f", id)
		}
	}
	e.must("system", "check", "--full")
	after, left := e.onDisk()
	assert.DeepEqual(t, left, names)
	t.Logf("%d bytes before, %d after", before, after)
}
