//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestMacvlanPutsContainersOnTheWire(t *testing.T) {
	host, lan := newMachines(t)
	lan.run("ip addr add 192.168.77.1/24 dev lan0")
	lan.serve(80, "neighbour")
	e := host.engine("--bridge", "none")
	e.must("network", "create", "-d", "macvlan", "--subnet", "192.168.77.0/24", "--gateway", "192.168.77.1", "-o", "parent=lan0", "wire")
	e.must("run", "-d", "--name", "web", "--network", "wire", "--ip", "192.168.77.50", "-p", "8080:80", "busybox", "sh", "-c",
		"mkdir /www; echo hello >/www/index.html; httpd -f -p 80 -h /www")
	reached := func(when string) {
		t.Helper()
		soon(t, when+": from the neighbour", func() bool { out, _ := lan.try(fetch("192.168.77.50")); return out == "hello" })
		assert.Equal(t, e.must("exec", "web", "sh", "-c", fetch("10.213.0.2")), "neighbour", "by the gateway, a router of the wire")
	}
	reached("at first")
	assert.Equal(t, e.must("port", "web"), "", "nothing is published")
	assert.Equal(t, e.must("run", "--rm", "--network", "wire", "busybox", "sh", "-c", fetch("192.168.77.50")), "hello")
	before, err := lan.try("ip neigh show 192.168.77.50")
	assert.NilError(t, err)

	// The daemon may die and come back, and the container start again: the wire sees the same station.
	e.Kill()
	reachedByLAN, _ := lan.try(fetch("192.168.77.50"))
	assert.Equal(t, reachedByLAN, "hello")
	assert.NilError(t, e.Start())
	reached("after a restart of the daemon")
	e.must("restart", "-t", "0", "web")
	reached("after a restart of the container")
	after, _ := lan.try("ip neigh show 192.168.77.50")
	assert.Equal(t, strings.Fields(after)[4], strings.Fields(before)[4], "its MAC")
	e.must("network", "create", "-d", "macvlan", "alone")
	e.must("network", "connect", "alone", "web")
	assert.Check(t, strings.Contains(e.must("exec", "web", "ip", "-o", "addr"), e.addressOf("web", "alone")))
	e.must("network", "disconnect", "wire", "web")
	assert.Check(t, !strings.Contains(e.must("exec", "web", "ip", "-o", "addr"), "192.168.77.50"))

	for _, c := range []struct{ option, says string }{
		{"parent=lan0", "is already using parent interface lan0"},
		{"parent=lo", "loopback interface is not a valid macvlan parent link"},
		{"macvlan_mode=fast", "requested macvlan mode 'fast' is not valid, 'bridge' mode is the macvlan driver default"},
		{"parent=lan0.5000", "vlan id must be between 1-4094, received: 5000"},
	} {
		r := e.any("network", "create", "-d", "macvlan", "-o", c.option, "refused")
		assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, c.says), "%s: %s", c.option, r.Stderr)
	}
	r := e.any("network", "create", "-d", "ipvlan", "refused")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "ipvlan networks do not exist in this version"), r.Stderr)
	e.must("rm", "-f", "web")
	assert.Assert(t, host.run("ip -o link | grep -c dm-") == "1")
	e.must("network", "rm", "alone", "wire")
	out, err := host.try("ip -o link | grep dm-")
	assert.Check(t, err != nil, out)
}
