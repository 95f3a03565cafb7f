//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// The places where we differ from dockerd 20.10 in what connects containers, on purpose.
func TestConnectionsOfContainersThatDoNotRun(t *testing.T) {
	e := startRouted(t)
	e.must("network", "create", "front")
	e.must("create", "--name", "web", "--network", "bridge", "busybox", "sleep", "1000")
	refused := func(want string, args ...string) {
		t.Helper()
		r := e.any(args...)
		assert.Check(t, r.Code != 0 && strings.Contains(r.Stderr, want), "%v: %s", args, r)
	}

	// Docker notes the name of a network that is not there and fails at the start.
	refused("network nosuch not found", "network", "connect", "nosuch", "web")
	// Docker connects a container that will join another's namespace, where nothing comes of it.
	e.must("create", "--name", "joined", "--network", "container:web", "busybox", "true")
	refused("cannot be connected to any other network", "network", "connect", "front", "joined")

	// One that is connected already stays as it is.
	e.must("network", "connect", "--alias", "a", "front", "web")
	e.must("network", "connect", "--alias", "b", "front", "web")
	assert.Equal(t, e.must("inspect", "-f", "{{json .NetworkSettings.Networks.front.Aliases}}", "web"), `["a"]`)

	// A network that was made again under its name is the one that was meant; docker wants the former one.
	e.must("network", "rm", "front")
	refused("network front not found", "start", "web")
	e.must("network", "create", "front")
	e.must("start", "web")
	assert.Check(t, e.addressOf("web", "front") != "")

	// An interface's name that is free again is used again.
	e.must("network", "disconnect", "bridge", "web")
	e.must("network", "connect", "bridge", "web")
	assert.Equal(t, e.must("exec", "web", "ls", "/sys/class/net"), "eth0\neth1\nlo")

	// Without any network it starts with none, also after the daemon's restart.
	e.must("network", "disconnect", "bridge", "web")
	e.must("network", "disconnect", "front", "web")
	e.must("stop", "-t", "0", "web")
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	e.must("start", "web")
	assert.Equal(t, e.must("exec", "web", "ls", "/sys/class/net"), "lo")
	assert.Equal(t, e.must("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web"), "{}")
}

func TestPortsFollowTheContainersWayOut(t *testing.T) {
	e := startRouted(t)
	e.must("network", "create", "--internal", "inner")
	e.must("network", "create", "outer")
	e.serve("web", "hello", "--network", "inner", "-p", "8080:80")
	assert.Equal(t, e.must("port", "web"), "")
	reached := func() bool { out, err := e.onHost(fetch("127.0.0.1:8080")); return err == nil && out == "hello" }
	assert.Check(t, !reached())
	e.must("network", "connect", "outer", "web")
	assert.Check(t, reached())
	assert.Check(t, strings.Contains(e.must("port", "web"), "0.0.0.0:8080"))
	e.must("network", "disconnect", "outer", "web")
	assert.Check(t, !reached())
	assert.Equal(t, e.must("port", "web"), "")
	e.must("run", "--rm", "--network", "bridge", "-p", "8080:80", "busybox", "true")
	e.must("network", "connect", "bridge", "web")
	assert.Check(t, reached())

	r := e.any("run", "--rm", "--network", "bridge", "-p", "192.0.2.77:8081:80", "busybox", "true")
	assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, "failed to bind host port 192.0.2.77:8081/tcp: cannot assign requested address"), r.Stderr)
	assert.Equal(t, e.must("ps", "-a", "--format", "{{.Names}}"), "web")
	// The filter is about ports of the host, as in docker.
	assert.Equal(t, e.must("ps", "--filter", "publish=8080", "--format", "{{.Names}}"), "web")
	assert.Equal(t, e.must("ps", "--filter", "publish=80", "--format", "{{.Names}}"), "")
	assert.Equal(t, e.must("ps", "--filter", "expose=80", "--format", "{{.Names}}"), "web")
}

func TestABridgeHasTheMTUOfItsNetwork(t *testing.T) {
	e := startRouted(t)
	e.must("network", "create", "-o", "com.docker.network.bridge.name=small0", "-o", "com.docker.network.driver.mtu=1400", "small")
	// Not from /sys, which is of the network that it was mounted in.
	out, err := e.onHost("ip -o link show small0")
	assert.NilError(t, err, out)
	assert.Assert(t, strings.Contains(out, " mtu 1400 "), out)
	assert.Equal(t, e.must("run", "--rm", "--network", "small", "busybox", "cat", "/sys/class/net/eth0/mtu"), "1400")
}

// Docker publishes what is bound only if it is exposed too, which its command line sees to and other clients forget.
func TestPortsThatAreBoundArePublished(t *testing.T) {
	e := startRouted(t)
	code, text, _, err := e.Do("POST", "/containers/create?name=web", map[string]any{
		"Image": "busybox", "Cmd": []string{"sleep", "1000"}, "HostConfig": map[string]any{
			"NetworkMode": "bridge", "PortBindings": map[string]any{"80/tcp": []map[string]string{{"HostPort": "8080"}}},
		},
	})
	assert.NilError(t, err)
	assert.Equal(t, code, 201, text)
	e.must("start", "web")
	assert.Check(t, strings.Contains(e.must("port", "web"), "80/tcp -> 0.0.0.0:8080"))
}
