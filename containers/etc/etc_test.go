package etc

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

// web is a container on one network, whose host has a resolver.
func web(t *testing.T) Container {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "host-resolv.conf")
	assert.NilError(t, os.WriteFile(conf, []byte("search corp\nnameserver 192.0.2.1\n"), 0o600))
	return Container{
		Dir: dir, Hostname: "web", Domainname: "corp",
		Networks:   map[string]*network.EndpointSettings{"bridge": {IPAddress: netip.MustParseAddr("10.1.2.3")}},
		ExtraHosts: []string{"db:10.9.9.9", "up:host-gateway"},
		Gateways:   func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.1.2.1")}, nil },
		Links:      []string{"10.1.2.9\tcache\n"},
		Defaults:   DNS{File: conf},
	}
}

func text(t *testing.T, c Container, name string) string {
	t.Helper()
	b, err := os.ReadFile(c.path(name))
	assert.NilError(t, err)
	return string(b)
}

func TestHostsFollowsAddressesAndKeepsTheUsersLines(t *testing.T) {
	c := web(t)
	assert.NilError(t, c.Write(os.Getuid(), os.Getgid()))
	first := text(t, c, "hosts")
	for _, line := range []string{"127.0.0.1\tlocalhost\n", "10.9.9.9\tdb\n", "10.1.2.1\tup\n", "10.1.2.9\tcache\n", "10.1.2.3\tweb.corp web\n"} {
		assert.Assert(t, strings.Contains(first, line), "%q has no %q", first, line)
	}
	f, err := os.OpenFile(c.path("hosts"), os.O_APPEND|os.O_WRONLY, 0)
	assert.NilError(t, err)
	_, err = f.WriteString("10.7.7.7\tmine") // and no end of line
	assert.NilError(t, err)
	assert.NilError(t, f.Close())

	c.Networks = map[string]*network.EndpointSettings{"bridge": {IPAddress: netip.MustParseAddr("10.1.2.4")}}
	c.Links = nil
	c.Gateways = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.1.2.254")}, nil }
	assert.NilError(t, c.Write(os.Getuid(), os.Getgid()))
	second := text(t, c, "hosts")
	for line, there := range map[string]bool{
		"10.7.7.7\tmine\n": true, "10.9.9.9\tdb\n": true, "10.1.2.254\tup\n": true, "10.1.2.4\tweb.corp web\n": true,
		"10.1.2.1\t": false, "10.1.2.3\t": false, "cache": false,
	} {
		assert.Equal(t, strings.Contains(second, line), there, "%q in %q", line, second)
	}
}

func TestResolvConfFollowsNetworksUntilTheUserWritesIt(t *testing.T) {
	c := web(t)
	assert.NilError(t, c.Write(os.Getuid(), os.Getgid()))
	assert.Equal(t, text(t, c, "resolv.conf"), "search corp\nnameserver 192.0.2.1\n")
	c.Networks = map[string]*network.EndpointSettings{"mine": {IPAddress: netip.MustParseAddr("10.1.2.3")}}
	assert.NilError(t, c.RefreshResolvConf())
	assert.Assert(t, strings.Contains(text(t, c, "resolv.conf"), "nameserver 127.0.0.11\n"))
	assert.NilError(t, os.WriteFile(c.path("resolv.conf"), []byte("nameserver 192.0.2.7\n"), 0o600))
	c.Networks = nil
	assert.NilError(t, c.Write(os.Getuid(), os.Getgid()))
	assert.Equal(t, text(t, c, "resolv.conf"), "nameserver 192.0.2.7\n")
}

func TestResolvConfOfTheUserBeforeTheDaemons(t *testing.T) {
	c := web(t)
	c.Defaults.Servers = []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	c.Defaults.Search = []string{"daemon"}
	c.DNS = DNS{Search: []string{"."}, Options: []string{"rotate"}}
	assert.Equal(t, string(c.resolvConf()), "nameserver 192.0.2.2\noptions rotate\n")
	c.DNS.Servers = []netip.Addr{netip.MustParseAddr("192.0.2.3")}
	assert.Equal(t, string(c.resolvConf()), "nameserver 192.0.2.3\noptions rotate\n")
}

func TestAFileThatCannotBeMadeIsNotLeftHalf(t *testing.T) {
	c := web(t)
	c.Gateways = func() ([]netip.Addr, error) { return nil, os.ErrDeadlineExceeded }
	assert.ErrorIs(t, c.Write(os.Getuid(), os.Getgid()), os.ErrDeadlineExceeded)
	_, err := os.Lstat(c.path("hosts"))
	assert.Assert(t, os.IsNotExist(err))
}
