package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

func TestOnlyWhatIsListedOrSignedIsWelcome(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	const repository = "docker.io/library/busybox"
	text := repository + "@sha256:" + hex
	mine, key, err := ed25519.GenerateKey(rand.Reader)
	assert.NilError(t, err)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	assert.NilError(t, err)
	der, err := x509.MarshalPKIXPublicKey(mine)
	assert.NilError(t, err)
	trusted := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	by := func(key ed25519.PrivateKey, text string) string { return string(ed25519.Sign(key, []byte(text))) }
	for name, row := range map[string]struct {
		files     map[string]string
		reference string // "" is busybox:latest
		want      string // "" is welcome
	}{
		"no policy":                      {want: "nobody has signed"},
		"listed":                         {files: map[string]string{"allowed": "# mine\n" + text + " # said Ada\n"}},
		"listed for another repository":  {files: map[string]string{"allowed": "docker.io/library/other@sha256:" + hex}, want: "nobody has signed"},
		"listed, of a registry's port":   {files: map[string]string{"allowed": "host:5000/a/b@sha256:" + hex}, reference: "host:5000/a/b:1"},
		"listed, pulled by its digest":   {files: map[string]string{"allowed": text}, reference: text},
		"listed, by name and digest":     {files: map[string]string{"allowed": text}, reference: repository + ":1@sha256:" + hex},
		"signed":                         {files: map[string]string{"keys/me.pub": trusted, "signatures/" + hex + ".sig": by(key, text)}},
		"signed by a stranger":           {files: map[string]string{"keys/me.pub": trusted, "signatures/" + hex + ".sig": by(stranger, text)}, want: "nobody who is trusted"},
		"signed for another repository":  {files: map[string]string{"keys/me.pub": trusted, "signatures/" + hex + ".sig": by(key, "docker.io/x@sha256:"+hex)}, want: "nobody who is trusted"},
		"a signature that is none":       {files: map[string]string{"keys/me.pub": trusted, "signatures/" + hex + ".sig": "x"}, want: "nobody who is trusted"},
		"signed, and no key is trusted":  {files: map[string]string{"signatures/" + hex + ".sig": by(key, text)}, want: "nobody who is trusted"},
		"a key that is none":             {files: map[string]string{"keys/me.pub": "x", "signatures/" + hex + ".sig": by(key, text)}, want: "is no key"},
		"a signature of another's image": {files: map[string]string{"keys/me.pub": trusted, "signatures/" + strings.Repeat("cd", 32) + ".sig": by(key, text)}, want: "nobody has signed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy{t.TempDir()}
			for file, content := range row.files {
				path := filepath.Join(p.dir, file)
				assert.NilError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				assert.NilError(t, os.WriteFile(path, []byte(content), 0o600))
			}
			in := jobs.ImageVerifyIn{Reference: row.reference, Digest: "sha256:" + hex}
			if in.Reference == "" {
				in.Reference = repository + ":latest"
			}
			_, err := p.verify(context.Background(), nil, in)
			if row.want == "" {
				assert.NilError(t, err)
				return
			}
			assert.ErrorContains(t, err, row.want)
			assert.Equal(t, errdefs.IsPermissionDenied(err), strings.HasPrefix(row.want, "nobody"))
		})
	}
	_, err = policy{t.TempDir()}.verify(context.Background(), nil, jobs.ImageVerifyIn{Reference: "x", Digest: "sha256:../../etc/passwd"})
	assert.ErrorContains(t, err, "is no digest")
}
