//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

const modeOption = "com.docker.network.bridge.gateway_mode_ipv"

func TestGatewayModes(t *testing.T) {
	e := startRouted(t)
	lan := e.neighbourPlace()
	lan.serve("tcp", ":80", "lan")
	create := func(name, mode string, args ...string) {
		t.Helper()
		e.must(append([]string{"network", "create", "--ipv6", "-o", modeOption + "4=" + mode, "-o", modeOption + "6=" + mode, name}, args...)...)
	}
	create("routed", "routed")
	create("open", "nat-unprotected")
	create("closed", "isolated", "--internal")
	for _, name := range []string{"routed", "open"} {
		e.sleeper(name, "--network", name, "-p", "8080-8081:80-81", "-p", "53/udp")
		for _, port := range []string{":80", ":81", ":82"} {
			e.inside(name).serve("tcp", port, name)
		}
		e.inside(name).serve("udp", ":53", name)
	}
	e.sleeper("closed", "--network", "closed")
	e.sleeper("plain")
	four, six := e.addressOf("routed", "routed"), e.address6("routed")

	// Routed: published ports are open at the container's addresses, and take none of the host.
	lan.gets("tcp", four+":80", "routed 10.213.0.2")
	lan.gets("tcp", "["+six+"]:81", "routed fd13::2")
	lan.gets("udp", four+":53", "routed 10.213.0.2")
	lan.getsNothing("tcp", four+":82")
	lan.getsNothing("tcp", "["+six+"]:82")
	lan.sh("busybox ping -c 1 -W 20 " + four)
	lan.sh("busybox ping -6 -c 1 -W 20 " + six)
	e.inside("plain").gets("tcp", four+":80", "routed "+e.addressOf("plain", "bridge"))
	e.inside("plain").getsNothing("tcp", four+":82")
	e.inside("routed").gets("tcp", "10.213.0.2:80", "lan "+four)
	e.inside("routed").gets("tcp", "[fd13::2]:80", "lan "+six)
	assert.Equal(t, e.must("inspect", "-f", `{{json (index .NetworkSettings.Ports "80/tcp")}}`, "routed"), `[{"HostIp":"0.0.0.0","HostPort":""},{"HostIp":"::","HostPort":""}]`)

	// Unprotected: all ports, and those of the host; what leaves has the host's address.
	four, six = e.addressOf("open", "open"), e.address6("open")
	lan.gets("tcp", four+":82", "open 10.213.0.2")
	lan.gets("tcp", "["+six+"]:82", "open fd13::2")
	lan.gets("tcp", "10.213.0.1:8081", "open 10.213.0.2")
	e.inside("open").gets("tcp", "10.213.0.2:80", "lan 10.213.0.1")

	// Isolated: the host is not there either.
	id := e.must("network", "inspect", "-f", "{{.Id}}", "closed")[:12]
	assert.Equal(t, e.host().sh("ip -o addr show br-"+id+" scope global"), "")
	assert.Check(t, !strings.Contains(e.inside("closed").sh("ip route"), "default"))

	r := e.any("network", "create", "-o", modeOption+"4=isolated", "bad")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "gateway mode 'isolated' can only be used for an internal network"), r.Stderr)
	r = e.any("network", "create", "-o", modeOption+"6=funny", "bad")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "unknown gateway mode funny"), r.Stderr)
	assert.Equal(t, e.must("network", "ls", "-q", "-f", "name=bad"), "")

	// It is the same after a restart.
	ns := newHolder(t, e.host())
	e.Kill()
	e.Rewrap("nsenter", "--net="+ns)
	assert.NilError(t, e.Start())
	lan.gets("tcp", e.addressOf("routed", "routed")+":80", "routed 10.213.0.2")
	lan.getsNothing("tcp", e.addressOf("routed", "routed")+":82")
	lan.gets("tcp", four+":82", "open 10.213.0.2")
}
