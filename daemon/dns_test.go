package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestNamingComesFromFlagsAndFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "daemon.json")
	read := func(text string, args ...string) (*Config, error) {
		assert.NilError(t, os.WriteFile(file, []byte(text), 0o600))
		cfg, _, err := parse(append([]string{"--config-file", file}, args...))
		return cfg, err
	}
	cfg, err := read(`{"dns": ["192.0.2.1", "2001:db8::1"], "dns-opts": ["ndots:2"], "dns-search": ["a.example"], "host-gateway-ips": ["10.0.0.1", "fd00::1"], "resolv-conf": "/etc/other"}`)
	assert.NilError(t, err)
	dns := cfg.Network.DNS
	assert.DeepEqual(t, dns.Options, []string{"ndots:2"})
	assert.DeepEqual(t, dns.Search, []string{"a.example"})
	assert.Equal(t, dns.File, "/etc/other")
	assert.Check(t, len(dns.Servers) == 2 && dns.Servers[1] == netip.MustParseAddr("2001:db8::1"))
	assert.Equal(t, len(cfg.Network.HostGateway), 2)

	cfg, err = read(`{"host-gateway-ip": "10.0.0.1"}`, "--dns", "192.0.2.1", "--dns", "192.0.2.2", "--dns-opt", "rotate")
	assert.NilError(t, err)
	assert.Equal(t, len(cfg.Network.DNS.Servers), 2)
	assert.Equal(t, cfg.Network.HostGateway[0].String(), "10.0.0.1")

	for text, want := range map[string]string{
		`{"dns": ["nonsense"]}`:                          "dns: IP address is not correctly formatted: nonsense",
		`{"dns-search": ["a b"]}`:                        `"a b" is no DNS option`,
		`{"resolv-conf": "etc"}`:                         "not an absolute path",
		`{"host-gateway-ip": "x"}`:                       "host-gateway-ip: IP address is not correctly formatted: x",
		`{"host-gateway-ips": ["10.0.0.1", "10.0.0.2"]}`: "only one IPv4 and one IPv6 address",
		`{"host-gateway-ip": 5}`:                         "host-gateway-ip",
		`{"dns-opt": ["rotate"]}`:                        "don't match any configuration option: dns-opt",
		`{"dns": ["192.0.2.1"], "dns": ["192.0.2.1"]}`:   "the key is there twice",
	} {
		_, err := read(text)
		assert.Check(t, err != nil && strings.Contains(err.Error(), want), "%s: %v", text, err)
	}
	_, err = read(`{"dns": ["192.0.2.1"]}`, "--dns", "192.0.2.2")
	assert.ErrorContains(t, err, "both as a flag and in the configuration file")
}
