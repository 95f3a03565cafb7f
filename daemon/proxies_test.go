package daemon

import (
	"os"
	"testing"

	"github.com/spf13/pflag"
	"gotest.tools/v3/assert"
)

// Proxies of flags take the place of those in the environment, whichever way
// these are written; what no flag says stays.
func TestProxyFlagsComeBeforeTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"HTTP_PROXY": "http://old:1", "http_proxy": "http://older:1", "HTTPS_PROXY": "", "https_proxy": "", "NO_PROXY": "stays", "no_proxy": "",
	} {
		t.Setenv(name, value)
	}
	var r registries
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	r.flags(f)
	assert.NilError(t, f.Parse([]string{"--http-proxy=http://new:1", "--https-proxy", "http://new:2"}))
	assert.NilError(t, r.check())
	r.setProxies()
	for name, want := range map[string]string{
		"HTTP_PROXY": "http://new:1", "http_proxy": "http://new:1", "HTTPS_PROXY": "http://new:2", "https_proxy": "http://new:2", "NO_PROXY": "stays", "no_proxy": "",
	} {
		assert.Equal(t, os.Getenv(name), want, name)
	}
}
