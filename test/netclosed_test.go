//go:build system

package test

import (
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// A host that is a router already, and whose other filters let everything through, is where a neighbour's packets
// to a container's own address would arrive: dockerd 20.10 lets them.
func TestARouterKeepsItsContainersClosed(t *testing.T) {
	host, wire := newMachines(t)
	host.run("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	e := startWith(t, harness.Options{Wrap: host.wrap(), DefaultBridge: true, Flags: []string{"--ipv6"}})
	e.load()
	e.must("network", "create", "--ipv6", "closed")
	e.must("network", "create", "--ipv6", "-o", modeOption+"4=nat-unprotected", "-o", modeOption+"6=nat-unprotected", "open")
	lan := wire.place("a neighbour")
	e.sleeper("open", "--network", "open")
	e.inside("open").serve("tcp", ":81", "open")
	boxes := map[string]string{"onbridge": "bridge", "onclosed": "closed"}
	for name, nw := range boxes {
		base := map[string]string{"bridge": "80", "closed": "90"}[nw]
		e.sleeper(name, "--network", nw, "-p", base+"80:80", "-p", "127.0.0.1:"+base+"81:81", "-p", "[::1]:"+base+"81:81", "-p", "127.0.0.1:"+base+"82:82/udp")
		for _, port := range []string{":80", ":81", ":83"} {
			e.inside(name).serve("tcp", port, name)
		}
		e.inside(name).serve("udp", ":82", name)
	}
	// The neighbour sends what is for loopback here, too.
	wire.run("ip addr del 127.0.0.1/8 dev lo; ip addr del ::1/128 dev lo; ip route add 127.0.0.0/8 via 10.213.0.1; ip -6 route add ::1/128 via fd13::1; true")
	closed := func(when string) {
		t.Helper()
		var asked sync.WaitGroup
		inVain := func(network, address string) { asked.Go(func() { lan.getsNothing(network, address) }) }
		// It would arrive: where a network is open, it does.
		lan.gets("tcp", e.addressOf("open", "open")+":81", "open 10.213.0.2")
		lan.gets("tcp", "["+e.address6("open")+"]:81", "open fd13::2")
		for name, nw := range boxes {
			base := map[string]string{"bridge": "80", "closed": "90"}[nw]
			lan.gets("tcp", "10.213.0.1:"+base+"80", name+" 10.213.0.2")
			for _, address := range []string{e.addressOf(name, nw), "[" + e.address6(name) + "]"} {
				inVain("tcp", address+":81")
				inVain("tcp", address+":83")
				inVain("udp", address+":82")
			}
			for _, address := range []string{"10.213.0.1", "[fd13::1]", "127.0.0.1", "[::1]"} {
				inVain("tcp", address+":"+base+"81")
				inVain("udp", address+":"+base+"82")
			}
		}
		asked.Wait()
		if t.Failed() {
			t.Fatal(when)
		}
	}
	closed("at first")
	e.host().gets("tcp", "127.0.0.1:8081", "onbridge "+e.must("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "onbridge"))
	e.Kill()
	assert.NilError(t, e.Start())
	closed("with another daemon")
}

// On a network of IPv4 alone the kernel gives no addresses of its own either, however a container came there.
func TestANetworkOfIPv4HasNoAddressesOfIPv6(t *testing.T) {
	e := startRouted(t)
	e.must("network", "create", "front")
	e.must("network", "create", "--internal", "back")
	e.sleeper("web", "--network", "front")
	e.must("network", "connect", "back", "web")
	e.sleeper("plain")
	for _, name := range []string{"web", "plain"} {
		assert.Equal(t, e.inside(name).sh("ip -6 -o addr | grep -v ' lo ' || true"), "", name)
		assert.Equal(t, e.inside(name).sh("ip -6 route | grep -v ' lo ' || true"), "", name)
	}
	// Nor does the host speak it there.
	for _, link := range strings.Fields(e.host().sh("ip -o link show type bridge | cut -d: -f2")) {
		assert.Equal(t, e.host().sh("ip -6 -o addr show dev "+link), "", link)
	}
}

// A name with dots is the world's: only a container that is called exactly so has it, and only on its own networks.
func TestNamesOfTheWorldStayTheWorlds(t *testing.T) {
	e, host, _ := startNamed(t, "nameserver 127.0.0.53\n")
	host.place("the host").resolver("127.0.0.53:53", says("the world"))
	e.must("network", "create", "--subnet", "172.30.1.0/24", "front")
	e.must("network", "create", "--subnet", "172.30.2.0/24", "--internal=false", "side")
	e.named("docker.io", "--network", "front", "--ip", "172.30.1.2", "--hostname", "io", "--network-alias", "example")
	web, far := e.named("web", "--network", "front"), e.named("far", "--network", "side")
	web.resolves("docker.io.", "172.30.1.2")
	for _, name := range []string{"registry-1.docker.io.", "docker.io.example.org.", "example.org.", "docker.", "web.example."} {
		assert.Equal(t, web.query("udp", name, dns.TypeTXT), `"the world"`, name)
	}
	for _, name := range []string{"docker.io.", "docker.io.front.", "example.", "io."} {
		assert.Equal(t, far.query("udp", name, dns.TypeTXT), `"the world"`, name)
	}
	for _, p := range []place{web, far} {
		p.resolves("localhost.", "127.0.0.1")
	}
}
