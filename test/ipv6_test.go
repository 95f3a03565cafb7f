//go:build system

package test

import (
	"net/netip"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func (e *engine) subnets(nw string) []netip.Prefix {
	e.t.Helper()
	var list []netip.Prefix
	for _, text := range strings.Fields(e.must("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", nw)) {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestNetworksWithIPv6(t *testing.T) {
	e := startRouted(t, "--ipv6")
	lan := e.neighbourPlace()
	lan.serve("tcp", ":80", "lan")
	unique := netip.MustParsePrefix("fd00::/8")

	// Without a subnet of the user's there is one of unique local addresses, each network its own.
	e.must("network", "create", "--ipv6", "one")
	e.must("network", "create", "--ipv6", "two")
	a, b, byDefault := e.subnets("one")[1], e.subnets("two")[1], e.subnets("bridge")[1]
	for _, p := range []netip.Prefix{a, b, byDefault} {
		assert.Check(t, unique.Contains(p.Addr()) && p.Bits() == 64, "%s", p)
	}
	assert.Check(t, !a.Overlaps(b) && !a.Overlaps(byDefault))
	e.must("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd42::/64", "six")
	e.must("network", "create", "--internal", "--ipv6", "--subnet", "fd43::/64", "inside")

	e.sleeper("web", "--network", "one", "-p", "8080:80", "-p", "[::1]:8081:80", "-p", "[fd13::1]:8082:80", "-p", "[::]:8083:80/udp")
	e.sleeper("six", "--network", "six", "--ip6", "fd42::77", "-p", "8090:80")
	e.sleeper("peer", "--network", "one")
	e.sleeper("far", "--network", "two")
	e.sleeper("in", "--network", "inside")
	e.sleeper("plain")
	for _, name := range []string{"web", "six"} {
		e.inside(name).serve("tcp", ":80", name)
		e.inside(name).serve("udp", ":80", name)
		e.inside(name).serve("tcp", ":81", name)
	}
	web := e.address6("web")
	gateway := a.Addr().Next().String()
	assert.Check(t, a.Contains(netip.MustParseAddr(web)))
	assert.Equal(t, e.address6("six"), "fd42::77")
	assert.Check(t, strings.HasPrefix(e.must("inspect", "-f", `{{.NetworkSettings.Networks.six.IPv6Gateway}}`, "six"), "fd42::1"))
	assert.Equal(t, strings.TrimSpace(e.inside("six").sh("ip -4 -o addr show eth0")), "", "there is no IPv4")

	// Out: masqueraded. In: by published ports, with the client's own address.
	e.inside("web").gets("tcp", "[fd13::2]:80", "lan fd13::1")
	lan.gets("tcp", "[fd13::1]:8080", "web fd13::2")
	lan.gets("udp", "[fd13::1]:8083", "web fd13::2")
	lan.gets("tcp", "[fd13::1]:8082", "web fd13::2")
	lan.getsNothing("tcp", "[fd13::1]:8081")
	lan.getsNothing("tcp", "10.213.0.1:8082")
	lan.getsNothing("tcp", "["+web+"]:80")
	lan.getsNothing("tcp", "["+web+"]:81")
	for _, port := range []string{"8080", "8081"} {
		e.host().gets("tcp", "[::1]:"+port, "web "+gateway)
	}
	e.host().gets("udp", "[::1]:8083", "web "+gateway)
	e.host().gets("tcp", "[fd13::1]:8080", "web fd13::1")
	e.host().getsNothing("tcp", "127.0.0.1:8083")
	// Another container, and the container itself, by a port of the host.
	e.inside("plain").gets("tcp", "[fd13::1]:8080", "web "+e.address6("plain"))
	e.inside("web").gets("tcp", "[fd13::1]:8080", "web "+gateway)

	// Networks are apart, and one without a way out has none.
	e.inside("peer").gets("tcp", "["+web+"]:80", "web "+e.address6("peer"))
	e.inside("far").getsNothing("tcp", "["+web+"]:80")
	e.inside("in").getsNothing("tcp", "["+web+"]:80")
	e.inside("in").getsNothing("tcp", "[fd13::2]:80")
	assert.Check(t, !strings.Contains(e.inside("in").sh("ip -6 route"), "default"))

	// A container without IPv4 behind addresses of IPv4, and one that has both.
	e.host().gets("tcp", "127.0.0.1:8090", "six fd42::1")
	lan.gets("tcp", "10.213.0.1:8090", "six fd42::1")
	lan.gets("tcp", "[fd13::1]:8090", "six fd13::2")
	lan.gets("tcp", "10.213.0.1:8080", "web 10.213.0.2")

	// What a container announces is not for the host.
	for _, nw := range []string{"one", "bridge"} {
		name := "br-" + e.must("network", "inspect", "-f", "{{.Id}}", nw)[:12]
		if nw == "bridge" {
			name = e.must("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, nw)
		}
		assert.Equal(t, e.host().sh("cat /proc/sys/net/ipv6/conf/"+name+"/accept_ra"), "0")
	}
}

func TestIPv6OfTheHostInFrontOfAContainerWithoutIt(t *testing.T) {
	e := startRouted(t)
	lan := e.neighbourPlace()
	e.sleeper("web", "-p", "8080:80", "-p", "8080:80/udp", "-p", "[::1]:8081:81", "-p", "20000-29999:20000-29999", "-p", "20000-29999:20000-29999/udp")
	gateway := e.must("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "web")
	in := e.inside("web")
	assert.Equal(t, in.sh("ip -6 -o addr show eth0"), "", "not even addresses that the kernel gives itself")
	for _, port := range []string{"80", "81", "20007", "29999"} {
		in.serve("tcp", ":"+port, "web"+port)
		in.serve("udp", ":"+port, "web"+port)
	}
	works := func() {
		t.Helper()
		for _, network := range []string{"tcp", "udp"} {
			e.host().gets(network, "[::1]:8080", "web80 "+gateway)
			e.host().gets(network, "[fd13::1]:8080", "web80 "+gateway)
			lan.gets(network, "[fd13::1]:8080", "web80 "+gateway)
			e.host().gets(network, "[::1]:20007", "web20007 "+gateway)
			lan.gets(network, "[fd13::1]:29999", "web29999 "+gateway)
			lan.gets(network, "10.213.0.1:20007", "web20007 10.213.0.2")
		}
		e.host().gets("tcp", "[::1]:8081", "web81 "+gateway)
		lan.getsNothing("tcp", "[fd13::1]:8081")
		lan.getsNothing("tcp", "[fd13::1]:1023") // the relay itself
		e.host().getsNothing("tcp", "[::1]:1023")
		lan.getsNothing("udp", "[fd13::1]:1023")
	}
	works()
	sockets := e.host().sh("ss -Hlntu | wc -l")
	assert.Equal(t, sockets, "4", "TCP and UDP of two families, however many ports there are")
	e.inside("web").getsNothing("tcp", gateway+":1023")

	// It is back with the daemon.
	ns := newHolder(t, e.host())
	for _, end := range []func(){e.Kill, func() { assert.NilError(t, e.Stop()) }} {
		end()
		e.Rewrap("nsenter", "--net="+ns)
		assert.NilError(t, e.Start())
		works()
	}
	e.must("rm", "-f", "web")
	e.host().getsNothing("tcp", "[::1]:8080")
	lan.getsNothing("tcp", "[fd13::1]:20007")
}
