//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// CVE-2020-8558: a container that sends to 127.0.0.1 by its interface does not reach what listens there on the host,
// though the host routes it for published ports.
func TestLoopbackOfTheHostIsClosedToContainers(t *testing.T) {
	host := newMachine(t)
	e := host.engine("--bridge", "engine0")
	host.serve(9999, "secret")
	e.must("run", "-d", "--name", "evil", "--network", "bridge", "--privileged", "busybox", "sleep", "1000")
	assert.Equal(t, host.run("cat /proc/sys/net/ipv4/conf/engine*/route_localnet"), "1")
	gateway := e.must("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "evil")
	e.must("exec", "evil", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via "+gateway+"; true")
	out := e.any("exec", "evil", "ip", "route", "get", "127.0.0.1").Out()
	assert.Assert(t, strings.Contains(out, "eth0"), "it goes out: %s", out)
	r := e.any("exec", "evil", "sh", "-c", fetch("127.0.0.1:9999"))
	assert.Check(t, r.Code != 0 && !strings.Contains(r.Stdout, "secret"), "%s", r)
	e.must("rm", "-f", "evil")
}

// CVE-2021-20199: who comes from outside is seen with his own address. moby#50669: a port is published once,
// also for UDP. Networks stay apart after somebody has flushed the rules.
func TestSourcesAreSeenPortsAreTakenOnceAndRulesComeBackWhole(t *testing.T) {
	host, lan := newMachines(t)
	e := host.engine("--bridge", "engine0")
	e.must("network", "create", "other")
	e.serve("web", "hello", "--network", "bridge", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "9000:9000/udp")
	talk := e.talk(lan)
	talk("a line")
	assert.Check(t, strings.Contains(e.must("exec", "echo", "netstat", "-tn"), "10.213.0.2:"), "the client's own address")
	for _, port := range []string{"9000:9000/udp", "127.0.0.1:9000:9000/udp", "8080:80", "10.213.0.1:8080:80"} {
		r := e.any("run", "--rm", "--network", "bridge", "-p", port, "busybox", "true")
		assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, "port is already allocated"), "%s: %s", port, r.Stderr)
	}
	own := e.addressOf("web", "bridge")
	host.run("nft flush ruleset")
	soon(t, "the port is back", func() bool { out, _ := lan.try(fetch("10.213.0.1:8080")); return out == "hello" })
	talk("the connection lives")
	for where, from := range map[string]func(string) (string, error){own: lan.try, own + ":81": lan.try, "10.213.0.1:8081": lan.try} {
		out, err := from(fetch(where))
		assert.Check(t, err != nil, "a neighbour reaches %s after a flush: %s", where, out)
	}
	r := e.any("run", "--rm", "--network", "other", "busybox", "sh", "-c", fetch(own))
	assert.Check(t, r.Code != 0, "another network reaches it after a flush: %s", r.Stdout)

	// A namespace whose owner has gone is joined by nobody.
	e.must("run", "-d", "--name", "guest", "--network", "container:web", "busybox", "sleep", "1000")
	e.must("stop", "-t", "0", "web")
	r = e.any("run", "--rm", "--network", "container:web", "busybox", "true")
	assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, "cannot join network of a non running container"), r.Stderr)
	e.must("rm", "-f", "web", "guest", "echo")
	soon(t, "its pair goes", func() bool { return host.run("ip -o link | grep -c veth || true") == "0" }, func() string { return host.run("ip -o link") })
}
