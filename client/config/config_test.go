package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	assert.NilError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	f, err := Load(dir)
	assert.NilError(t, err)
	assert.DeepEqual(t, f, &File{})

	write(t, filepath.Join(dir, "config.json"), `{"psFormat":"x","detachKeys":"ctrl-a","auths":{"a":{}},"HttpHeaders":{"X-A":"b"},"currentContext":"c"}`)
	f, err = Load(dir)
	assert.NilError(t, err)
	assert.DeepEqual(t, f, &File{PsFormat: "x", DetachKeys: "ctrl-a", HTTPHeaders: map[string]string{"X-A": "b"}, CurrentContext: "c"})

	write(t, filepath.Join(dir, "config.json"), `{"psFormat":`)
	f, err = Load(dir)
	assert.ErrorContains(t, err, "parsing config file ("+dir)
	assert.DeepEqual(t, f, &File{})
}

func TestEngineVariablesWin(t *testing.T) {
	t.Setenv("DOCKER_HOST", "d")
	assert.Equal(t, Env("HOST"), "d")
	t.Setenv("ENGINE_HOST", "e")
	assert.Equal(t, Env("HOST"), "e")
	t.Setenv("ENGINE_CONFIG", "/x")
	assert.Equal(t, Dir(), "/x")
}

func TestAddProxies(t *testing.T) {
	f := &File{Proxies: map[string]Proxy{
		"default":  {HTTPProxy: "http://p", NoProxy: "n"},
		"unix://a": {HTTPSProxy: "http://s"},
	}}
	assert.DeepEqual(t, f.AddProxies("unix://b", []string{"A=1", "http_proxy=mine", "A=2", "B"}),
		[]string{"A=2", "http_proxy=mine", "B", "HTTP_PROXY=http://p", "NO_PROXY=n", "no_proxy=n"})
	assert.DeepEqual(t, f.AddProxies("unix://a", nil), []string{"HTTPS_PROXY=http://s", "https_proxy=http://s"})
}

func TestFindContext(t *testing.T) {
	dir := t.TempDir()
	sum := sha256.Sum256([]byte("far"))
	write(t, filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json"),
		`{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://h:1","SkipTLSVerify":true}}}`)
	c, err := FindContext(dir, "far")
	assert.NilError(t, err)
	assert.Equal(t, c.Host, "tcp://h:1")
	assert.Assert(t, c.TLS != nil && c.TLS.InsecureSkipVerify)

	_, err = FindContext(dir, "none")
	assert.ErrorContains(t, err, `context "none": context not found: open `)
}
