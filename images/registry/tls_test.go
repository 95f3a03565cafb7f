package registry

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/reference"
)

// strict is a client for which loopback is a network as any other.
func strict(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	assert.NilError(t, err)
	c.nets = nil
	return c
}

func (c *Client) tags(t *testing.T, host string) ([]string, error) {
	t.Helper()
	named, err := reference.ParseNormalizedNamed(host + "/app")
	assert.NilError(t, err)
	var all []string
	err = c.Each(context.Background(), named, nil, ActionPull, func(r *Repository) (err error) {
		all, err = r.Tags(context.Background())
		return err
	})
	return all, err
}

// A certificate has to hold, by the system's authorities or by certs.d's; for
// an insecure registry none has to.
func TestCertificatesAreCheckedByTheRegistrysAuthorities(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"tags":["1"]}`)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "https://")
	_, err := strict(t, Config{CertDirs: []string{}}).tags(t, host)
	assert.ErrorContains(t, err, `Get "https://`+host+`/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`)

	dir := t.TempDir()
	own := filepath.Join(dir, host)
	assert.NilError(t, os.Mkdir(own, 0o700))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	assert.NilError(t, os.WriteFile(filepath.Join(own, "ca.crt"), ca, 0o600))
	all, err := strict(t, Config{CertDirs: []string{dir}}).tags(t, host)
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []string{"1"})

	all, err = strict(t, Config{CertDirs: []string{}, Insecure: []string{host}}).tags(t, host)
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []string{"1"})

	assert.NilError(t, os.WriteFile(filepath.Join(own, "me.cert"), ca, 0o600))
	_, err = strict(t, Config{CertDirs: []string{dir}}).tags(t, host)
	assert.ErrorContains(t, err, "missing key me.key for client certificate me.cert")
}

// Without being told nobody speaks plain HTTP, nor goes on with it.
func TestPlainHTTPIsForInsecureRegistries(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"tags":["1"]}`) }))
	defer plain.Close()
	host := strings.TrimPrefix(plain.URL, "http://")
	_, err := strict(t, Config{CertDirs: []string{}}).tags(t, host)
	assert.ErrorContains(t, err, "server gave HTTP response to HTTPS client")
	_, err = strict(t, Config{CertDirs: []string{}, Insecure: []string{"127.0.0.0/8"}}).tags(t, host)
	assert.ErrorContains(t, err, "HTTPS client") // strict forgets networks
	all, err := strict(t, Config{CertDirs: []string{}, Insecure: []string{host}}).tags(t, host)
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []string{"1"})

	down := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
	}))
	defer down.Close()
	dir := t.TempDir()
	name := strings.TrimPrefix(down.URL, "https://")
	assert.NilError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: down.Certificate().Raw})
	assert.NilError(t, os.WriteFile(filepath.Join(dir, name, "ca.crt"), ca, 0o600))
	_, err = strict(t, Config{CertDirs: []string{dir}}).tags(t, name)
	assert.ErrorContains(t, err, "redirects from https to http")
}

func TestChallengesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		`Basic realm="x"`: "[{basic map[realm:x]}]",
		`Bearer realm="https://a/token",service="b, c",scope="repository:x:pull,push"`: "[{bearer map[realm:https://a/token scope:repository:x:pull,push service:b, c]}]",
		`Negotiate, Basic realm="a\"b"`: `[{negotiate map[]} {basic map[realm:a"b]}]`,
		`Bearer realm=plain , x`:        "[{bearer map[realm:plain]} {x map[]}]",
		`Bearer realm="open`:            "[{bearer map[]}]",
		``:                              "[]",
		`"`:                             "[]",
	} {
		assert.Equal(t, fmt.Sprint(challenges(http.Header{"Www-Authenticate": {text}})), want, text)
	}
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/token",service="b"`)
	f.Fuzz(func(_ *testing.T, text string) { challenges(http.Header{"Www-Authenticate": {text}}) })
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},"layers":[]}`), "application/json")
	f.Fuzz(func(t *testing.T, raw []byte, sent string) {
		m, err := ParseManifest(raw, sent)
		if err == nil && m.IsIndex() == (m.Config.Digest != "") {
			t.Errorf("%s is both or neither", raw)
		}
	})
}
