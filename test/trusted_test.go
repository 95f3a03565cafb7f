//go:build system

package test

import (
	"testing"

	"gotest.tools/v3/assert"
)

// Published ports are reached at the containers' own addresses by the interfaces that a network trusts, and by no other.
func TestTrustedInterfacesReachPublishedPortsDirectly(t *testing.T) {
	e := startRouted(t)
	lan := e.neighbourPlace()
	const option = "com.docker.network.bridge.trusted_host_interfaces="
	e.must("network", "create", "--ipv6", "-o", option+"lan0:wlan7", "near")
	e.must("network", "create", "--ipv6", "-o", option+"lan0", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "bare")
	e.must("network", "create", "--ipv6", "-o", option+"wlan7", "far")
	for _, name := range []string{"near", "bare", "far"} {
		e.sleeper(name, "--network", name, "-p", "80-82", "-p", "127.0.0.1::81", "-p", "53/udp")
		for _, port := range []string{":80", ":81", ":83"} {
			e.inside(name).serve("tcp", port, name)
		}
		e.inside(name).serve("udp", ":53", name)
	}
	check := func() {
		t.Helper()
		for _, name := range []string{"near", "bare"} {
			four, six := e.addressOf(name, name), e.address6(name)
			lan.gets("tcp", four+":80", name+" 10.213.0.2")
			lan.gets("tcp", four+":81", name+" 10.213.0.2")
			lan.gets("udp", four+":53", name+" 10.213.0.2")
			lan.gets("tcp", "["+six+"]:80", name+" fd13::2")
			lan.getsNothing("tcp", four+":83")
			lan.getsNothing("tcp", "["+six+"]:83")
		}
		lan.getsNothing("tcp", e.addressOf("far", "far")+":80")
		e.inside("far").getsNothing("tcp", e.addressOf("near", "near")+":80")
	}
	check()
	ns := newHolder(t, e.host())
	e.Kill()
	e.Rewrap("nsenter", "--net="+ns)
	assert.NilError(t, e.Start())
	check()
	four := e.addressOf("near", "near")
	e.must("rm", "-f", "near")
	assert.Equal(t, e.host().sh("nft list table inet "+e.table()+" | grep -c '"+four+" ' || true"), "0")
}
