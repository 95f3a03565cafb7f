//go:build system

package test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// A third party's engine, docs/examples/signed, takes from registries what is
// listed or signed, and nothing else comes in.
func TestAThirdPartysEngineTakesSignedImagesOnly(t *testing.T) {
	useExample(t, "signed")
	policy := t.TempDir()
	e := startWith(t, harness.Options{Env: []string{"SIGNED_POLICY=" + policy}})
	e.load() // an archive is its bearer's business: the job is about registries
	host := startRegistry(t)
	var digest [3]string
	for n, name := range []string{"/a:1", "/b:1", "/c:1"} {
		ref := host + name
		e.must("tag", "busybox", ref)
		e.must("push", "-q", ref)
		repository := strings.TrimSuffix(ref, ":1")
		digest[n] = repository + "@" + e.must("images", "--digests", "--format", "{{.Digest}}", repository)
		e.must("rmi", ref)
	}
	e.must("rmi", "-f", "busybox")
	assert.Equal(t, e.must("images", "-aq"), "")
	refused := func(ref, why string) {
		t.Helper()
		res := e.any("pull", ref)
		assert.Equal(t, res.Code, 1, res.String())
		assert.Assert(t, strings.Contains(res.Stderr, why), res.String())
		res = e.any("run", "--rm", ref, "true")
		assert.Equal(t, res.Code, 126, res.String()) // docker's clients read "permission denied" so
		assert.Equal(t, e.must("images", "-aq"), "")
	}
	for _, n := range []string{"a:1", "b:1", "c:1"} {
		refused(host+"/"+n, "is refused: nobody has signed "+host+"/"+n[:1]+"@sha256:")
	}
	refused(digest[0], "nobody has signed "+digest[0])

	assert.NilError(t, os.WriteFile(policy+"/allowed", []byte("# ours\n"+digest[0]+"\n"), 0o644))
	e.must("pull", "-q", host+"/a:1")
	e.must("rmi", "-f", host+"/a:1")
	e.must("pull", "-q", digest[0])
	assert.Equal(t, e.must("run", "--rm", "--network", "none", digest[0], "echo", "welcome"), "welcome")
	e.must("rmi", "-f", digest[0])
	refused(host+"/b:1", "nobody has signed")

	// As the example's own words say it is done.
	script := `set -e; cd "$1"; mkdir -p keys signatures
		openssl genpkey -algorithm ed25519 -out me.pem; openssl pkey -in me.pem -pubout -out keys/me.pub
		printf %s "$2" >text; openssl pkeyutl -sign -inkey me.pem -rawin -in text -out signatures/${2##*:}.sig`
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl, so nothing is signed")
	}
	run(t, "sh", "-c", script, "sh", policy, digest[1])
	e.must("pull", "-q", host+"/b:1")
	assert.Equal(t, e.must("run", "--rm", "--network", "none", host+"/b:1", "echo", "welcome"), "welcome")
	e.must("rmi", "-f", host+"/b:1")
	refused(host+"/c:1", "nobody who is trusted has signed "+digest[2]) // the same content, and another name
}
