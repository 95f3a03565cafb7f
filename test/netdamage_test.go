//go:build system

package test

import (
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// What an administrator can do to our interfaces with `ip`, the next start or the next daemon mends.
func TestInterfacesThatSomebodyRemovedComeBack(t *testing.T) {
	host, lan := newMachines(t)
	lan.serve(80, "neighbour")
	e := host.engine("--bridge", "none")
	e.must("network", "create", "front")
	e.serve("web", "hello", "--network", "front", "-p", "8080:80")
	bridge := "br-" + e.must("network", "inspect", "-f", "{{.Id}}", "front")[:12]
	works := func(when string) {
		t.Helper()
		var seen string
		soon(t, when, func() (ok bool) {
			seen, ok = e.traffic(lan, 8080)
			return ok
		}, func() string { return seen })
	}
	works("at first")

	// The next container that starts on the network finds no bridge.
	host.run("ip link del " + bridge)
	assert.Equal(t, e.must("run", "--rm", "--network", "front", "busybox", "sh", "-c", fetch(e.addressOf("web", "front"))), "hello")
	works("the bridge again, with the container that was on it")
	assert.Check(t, strings.Contains(e.Log(), "it is there again"), "it is said")

	// The daemon finds no bridge, one that is down, one without its address.
	for _, harm := range []string{"ip link del " + bridge, "ip link set " + bridge + " down", "ip addr flush dev " + bridge, "ip link set $(ip -o link show master " + bridge + " | sed 's/^[0-9]*: //; s/@.*//' | head -n 1) nomaster"} {
		host.run(harm)
		e.Kill()
		assert.NilError(t, e.Start())
		works("after: " + harm)
	}

	// The pair of a container: it has to be connected again, or started again.
	pair := "ip link del $(ip -o link show master " + bridge + " | sed 's/^[0-9]*: //; s/@.*//' | head -n 1)"
	host.run(pair)
	e.must("network", "disconnect", "front", "web")
	e.must("network", "connect", "front", "web")
	soon(t, "connected again", func() bool { return e.any("exec", "web", "sh", "-c", fetch("10.213.0.2")).Out() == "neighbour" })
	host.run(pair)
	e.must("restart", "-t", "0", "web")
	soon(t, "started again", func() bool { return e.any("exec", "web", "sh", "-c", fetch("10.213.0.2")).Out() == "neighbour" })

	// A bridge that is gone is no reason not to remove the network.
	e.must("rm", "-f", "web")
	host.run("ip link del " + bridge)
	e.must("network", "rm", "front")
	assert.Equal(t, host.run("ip -o link | grep -c -e veth -e br- || true"), "0")
}

// A host that was no router stays none, though we switch forwarding on; what others add later is not our business.
func TestForwardingForContainersMakesTheHostNoRouter(t *testing.T) {
	host, lan := newMachines(t)
	other := newMachine(t)
	host.run("ip link add lan1 type veth peer name lan0 netns " + other.number() + " && ip addr add 10.214.0.1/24 dev lan1 && ip link set lan1 up")
	other.run("ip addr add 10.214.0.2/24 dev lan0 && ip link set lan0 up && ip route add 10.213.0.0/24 via 10.214.0.1")
	lan.run("ip route add 10.214.0.0/24 via 10.213.0.1")
	other.serve(80, "other")
	host.run("echo 0 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/lan0/accept_ra")
	silent := func(when string) {
		t.Helper()
		out, err := lan.try(fetch("10.214.0.2"))
		assert.Check(t, err != nil, "%s: the host routes between its neighbours: %s", when, out)
	}
	silent("before us")
	e := host.engine("--bridge", "engine0")
	e.must("network", "create", "--ipv6", "six")
	assert.Equal(t, host.run("cat /proc/sys/net/ipv4/ip_forward"), "1")
	assert.Equal(t, host.run("cat /proc/sys/net/ipv6/conf/lan0/accept_ra"), "2", "a host that forwards would not listen to its router")
	silent("with us")
	e.Kill()
	assert.NilError(t, e.Start())
	silent("after a restart")
	host.run("nft flush ruleset")
	soon(t, "the table again", func() bool { return strings.Contains(host.rules(), "table inet engine") })
	silent("after a flush")
	e.serve("web", "hello", "-p", "8080:80")
	for i, m := range []machine{lan, other} {
		var out string
		soon(t, fmt.Sprint("containers are reached from neighbour ", i), func() bool { out, _ = m.try(fetch("10.213.0.1:8080")); return out == "hello" },
			func() string {
				return out + host.rules() + host.run("ip addr; ip route; cat /proc/sys/net/ipv4/conf/*/rp_filter")
			})
	}
	// A network of somebody else's that comes later is his.
	host.run("ip link add late type veth peer name late0 netns " + lan.number() + " && ip addr add 10.215.0.1/24 dev late && ip link set late up")
	lan.run("ip addr add 10.215.0.2/24 dev late0 && ip link set late0 up && ip route change 10.214.0.0/24 via 10.215.0.1")
	other.run("ip route add 10.215.0.0/24 via 10.214.0.1")
	soon(t, "a later interface", func() bool { out, _ := lan.try(fetch("10.214.0.2")); return out == "other" })

	// A host that was a router before stays one.
	router, left := newMachines(t)
	right := newMachine(t)
	router.run("echo 1 >/proc/sys/net/ipv4/ip_forward; ip link add lan1 type veth peer name lan0 netns " + right.number() + " && ip addr add 10.214.0.1/24 dev lan1 && ip link set lan1 up")
	right.run("ip addr add 10.214.0.2/24 dev lan0 && ip link set lan0 up && ip route add 10.213.0.0/24 via 10.214.0.1")
	left.run("ip route add 10.214.0.0/24 via 10.213.0.1")
	right.serve(80, "right")
	router.engine("--bridge", "engine0")
	soon(t, "a router stays a router", func() bool { out, _ := left.try(fetch("10.214.0.2")); return out == "right" })
}
