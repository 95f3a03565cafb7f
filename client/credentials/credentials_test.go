package credentials

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/registry"
	"gotest.tools/v3/assert"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	assert.NilError(t, err)
	return s
}

func TestCredentialsAreKeptAsDockerKeepsThem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	assert.NilError(t, os.WriteFile(path, []byte(`{"psFormat":"x","auths":{"https://old.example/v1/":{"auth":"bWU6c2VjcmV0"}}}`), 0o644))
	s := open(t, dir)
	auth, err := s.Get("old.example") // docker wrote addresses so, once
	assert.NilError(t, err)
	assert.Equal(t, auth.Username+" "+auth.Password, "me secret")

	assert.NilError(t, s.Put("new.example:5000", registry.AuthConfig{Username: "you", Password: "a:b"}))
	assert.NilError(t, s.Put(Server("docker.io"), registry.AuthConfig{Username: "hub", IdentityToken: "token"}))
	st, err := os.Stat(path)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o600))
	s = open(t, dir)
	auth, err = s.Get("new.example:5000")
	assert.NilError(t, err)
	assert.Equal(t, auth.Username+" "+auth.Password, "you a:b")
	auth, err = s.Get(Server("docker.io"))
	assert.NilError(t, err)
	assert.Equal(t, auth.IdentityToken, "token")
	auth, err = s.Get("nobody.example")
	assert.NilError(t, err)
	assert.Equal(t, auth, registry.AuthConfig{ServerAddress: "nobody.example"})

	for _, server := range []string{"old.example", "new.example:5000", Hub} {
		assert.NilError(t, s.Erase(server))
	}
	data, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.Equal(t, string(data), "{\n\t\"auths\": {},\n\t\"psFormat\": \"x\"\n}")
}

func TestDamagedCredentialsAreNamed(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"a":{"auth":"!"}}}`), 0o600))
	_, err := open(t, dir).Get("a")
	assert.ErrorContains(t, err, "the credentials of a are damaged")
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{`), 0o600))
	_, err = Open(dir)
	assert.ErrorContains(t, err, "config.json")
}

// A helper keeps what it is given; the file has a sign of it and no secret.
func TestHelpersKeepCredentials(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	helper := `#!/bin/sh
case $1 in
store) cat >` + dir + `/kept ;;
get) [ -e ` + dir + `/kept ] || { echo "credentials not found in native keychain"; exit 1; }; cat ` + dir + `/kept ;;
erase) rm ` + dir + `/kept ;;
esac
`
	assert.NilError(t, os.WriteFile(filepath.Join(bin, "docker-credential-ours"), []byte(helper), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"credHelpers":{"a.example":"ours"}}`), 0o600))
	s := open(t, dir)
	assert.Assert(t, s.Helped("a.example") && !s.Helped("b.example"))
	auth, err := s.Get("a.example")
	assert.NilError(t, err)
	assert.Equal(t, auth.Username, "")
	assert.NilError(t, s.Put("a.example", registry.AuthConfig{Username: "me", Password: "secret"}))
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(data), "a.example") && !strings.Contains(string(data), "auth\""), string(data))
	auth, err = open(t, dir).Get("a.example")
	assert.NilError(t, err)
	assert.Equal(t, auth.Username+" "+auth.Password, "me secret")
	assert.NilError(t, s.Erase("a.example"))
	_, err = os.Stat(filepath.Join(dir, "kept"))
	assert.Assert(t, os.IsNotExist(err))
}
