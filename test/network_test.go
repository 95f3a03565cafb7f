//go:build system

package test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// startRouted gives a private daemon in a network namespace of its own, which stands for a
// host, with the default bridge.
func startRouted(t *testing.T, flags ...string) *engine {
	t.Helper()
	e := startWith(t, harness.Options{
		Wrap: []string{"unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" "$@"`}, Flags: flags, DefaultBridge: true,
	})
	e.load()
	return e
}

// onHost runs a shell line where the daemon's network is.
func (e *engine) onHost(line string) (string, error) {
	out, err := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", e.Pid()), "sh", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// neighbour is another host on the wire: a namespace joined by a pair of interfaces, with a
// route to all of 172.16.0.0/12 by the daemon's host, 10.213.0.1. It gives a way to run lines there.
func (e *engine) neighbour() func(line string) (string, error) {
	e.t.Helper()
	holder := exec.Command("unshare", "-n", "sleep", "600")
	assert.NilError(e.t, holder.Start())
	e.t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	in := func(line string) (string, error) {
		out, err := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", holder.Process.Pid), "sh", "-c", line).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	own, _ := exec.Command("readlink", "/proc/self/ns/net").Output()
	eventually(e.t, "a namespace", func() bool {
		other, _ := in("readlink /proc/self/ns/net")
		return other != "" && other != strings.TrimSpace(string(own))
	})
	out, err := e.onHost(fmt.Sprintf("ip link add lan0 type veth peer name lan0 netns %d && ip addr add 10.213.0.1/24 dev lan0 && ip link set lan0 up", holder.Process.Pid))
	assert.NilError(e.t, err, out)
	out, err = in("ip link set lo up && ip addr add 10.213.0.2/24 dev lan0 && ip link set lan0 up && ip route add 172.16.0.0/12 via 10.213.0.1")
	assert.NilError(e.t, err, out)
	return in
}

// fetch is a shell line that gets a page and prints its last line. (busybox' wget, linked
// statically, does not survive the host's name services.)
func fetch(where string) string {
	host, port, ok := strings.Cut(where, ":")
	if !ok {
		port = "80"
	}
	return fmt.Sprintf("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox timeout 4 busybox nc -w 3 %s %s | tail -n 1 | grep .", host, port)
}

func (e *engine) serve(name, word string, args ...string) {
	e.t.Helper()
	e.must(append(append([]string{"run", "-d", "--name", name}, args...), "busybox", "sh", "-c",
		"mkdir /www; echo "+word+" >/www/index.html; httpd -p 81 -h /www; httpd -f -p 80 -h /www")...)
	eventually(e.t, name+" serves", func() bool { return e.any("exec", name, "sh", "-c", fetch("127.0.0.1")).Code == 0 })
}

func (e *engine) addressOf(name, nw string) string {
	e.t.Helper()
	return e.must("inspect", "--format", `{{(index .NetworkSettings.Networks "`+nw+`").IPAddress}}`, name)
}

func TestPublishedPortsAreReachedFromEverywhereTheyShould(t *testing.T) {
	e := startRouted(t)
	lan := e.neighbour()
	e.serve("web", "hello", "--network", "bridge", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "20000-20099:20000-20099")
	own := e.addressOf("web", "bridge")
	reaches := func(who string, run func(string) (string, error), where string) {
		t.Helper()
		out, err := run(fetch(where))
		assert.Check(t, err == nil && out == "hello", "%s to %s: %s", who, where, out)
	}
	fails := func(who string, run func(string) (string, error), where string) {
		t.Helper()
		out, err := run(fetch(where))
		assert.Check(t, err != nil, "%s to %s: %s", who, where, out)
	}
	reaches("the host", e.onHost, "127.0.0.1:8080")
	reaches("the host", e.onHost, "10.213.0.1:8080")
	reaches("the host", e.onHost, "127.0.0.1:8081")
	reaches("the host", e.onHost, own)
	reaches("a neighbour", lan, "10.213.0.1:8080")
	fails("a neighbour", lan, "10.213.0.1:8081")
	fails("a neighbour", lan, own)
	fails("a neighbour", lan, own+":81")
	_, err := lan("ip route add 127.0.0.0/8 via 10.213.0.1 2>/dev/null; ip addr del 127.0.0.1/8 dev lo; true")
	assert.NilError(t, err)
	fails("a neighbour that routes loopback here", lan, "127.0.0.1:8081")
	inside := func(line string) (string, error) {
		r := e.any("run", "--rm", "--network", "bridge", "busybox", "sh", "-c", line)
		if r.Code != 0 {
			return r.Stderr, fmt.Errorf("code %d", r.Code)
		}
		return r.Out(), nil
	}
	reaches("another container", inside, "10.213.0.1:8080")
	reaches("the container itself", func(line string) (string, error) { return e.must("exec", "web", "sh", "-c", line), nil }, "10.213.0.1:8080")

	out, err := e.onHost("nft list table inet " + e.table() + " | grep -c '20000-20099'")
	assert.NilError(t, err, out)
	assert.Equal(t, out, "2", "a range is one element of each family, whatever its length")
	for _, want := range []string{"0.0.0.0:8080", "[::]:8080", "127.0.0.1:8081"} {
		assert.Check(t, strings.Contains(e.must("port", "web", "80"), want))
	}

	e.must("rm", "-f", "web")
	fails("the host", e.onHost, "127.0.0.1:8080")
}

// table is the name of the daemon's nftables table.
func (e *engine) table() string {
	e.t.Helper()
	out, err := e.onHost("nft list tables | grep -o 'engine-[0-9a-f]*'")
	assert.NilError(e.t, err, out)
	return out
}

func TestATakenPortFailsTheStartAndLeavesNothing(t *testing.T) {
	e := startRouted(t)
	e.serve("web", "hello", "--network", "bridge", "-p", "8080:80")
	before, err := e.onHost("ip -o link | wc -l")
	assert.NilError(t, err)
	r := e.any("run", "--name", "second", "--network", "bridge", "-p", "8080:80", "-p", "8090:80", "busybox", "true")
	assert.Equal(t, r.Code, 125)
	assert.Check(t, strings.Contains(r.Stderr, "Bind for 0.0.0.0:8080 failed: port is already allocated"), r.Stderr)
	assert.Equal(t, e.must("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "second"), "created 128")
	after, err := e.onHost("ip -o link | wc -l")
	assert.NilError(t, err)
	assert.Equal(t, after, before)
	listener := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", e.Pid()), "busybox", "nc", "-l", "-p", "9090")
	assert.NilError(t, listener.Start())
	t.Cleanup(func() { listener.Process.Kill(); listener.Wait() })
	eventually(t, "a listener of the host", func() bool {
		r = e.any("run", "--rm", "--network", "bridge", "-p", "9090:80", "busybox", "true")
		return r.Code == 125
	})
	assert.Check(t, strings.Contains(r.Stderr, "failed to bind host port ") && strings.Contains(r.Stderr, ":9090/tcp: address already in use"), r.Stderr)
	e.must("rm", "-f", "web")
	e.must("start", "-a", "second")
}

func TestNetworksAreApartAndContainersMoveBetweenThem(t *testing.T) {
	e := startRouted(t)
	e.must("network", "create", "--subnet", "172.30.0.0/24", "front")
	e.must("network", "create", "--internal", "back")
	e.serve("web", "hello", "--network", "front", "--ip", "172.30.0.77")
	assert.Equal(t, e.addressOf("web", "front"), "172.30.0.77")
	ask := func(nw, where string) bool {
		return e.any("run", "--rm", "--network", nw, "busybox", "sh", "-c", fetch(where)).Code == 0
	}
	assert.Check(t, ask("front", "172.30.0.77"))
	assert.Check(t, !ask("bridge", "172.30.0.77"), "another network")
	assert.Check(t, !ask("back", "172.30.0.77"), "an internal network")
	e.must("network", "connect", "back", "web")
	assert.Check(t, ask("back", e.addressOf("web", "back")))
	assert.Check(t, strings.Contains(e.must("exec", "web", "cat", "/etc/hosts"), e.addressOf("web", "back")))
	assert.Equal(t, strings.Count(e.must("exec", "web", "ip", "route"), "default"), 1)
	r := e.any("network", "connect", "back", "web")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "endpoint with name web already exists in network back"), r.Stderr)
	r = e.any("network", "rm", "front")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "has active endpoints"), r.Stderr)
	e.must("network", "disconnect", "front", "web")
	assert.Check(t, !strings.Contains(e.must("exec", "web", "ip", "addr"), "172.30.0.77"))
	e.must("network", "rm", "front")
	r = e.any("network", "disconnect", "none", "web")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "is not connected to network none"), r.Stderr)

	// A stopped container remembers.
	e.must("stop", "-t", "0", "web")
	e.must("start", "web")
	assert.Check(t, e.addressOf("web", "back") != "")
	e.must("rm", "-f", "web")
	assert.Equal(t, e.must("network", "prune", "-f"), "Deleted Networks:\nback")
	eventually(t, "no pair of a container is left", func() bool {
		out, _ := e.onHost("ip -o link | grep -c veth")
		return out == "0"
	})
}

func TestNetworksOutliveTheDaemon(t *testing.T) {
	e := startRouted(t)
	ns := fmt.Sprintf("/proc/%d/ns/net", e.Pid())
	holder := exec.Command("nsenter", "--net="+ns, "sleep", "600")
	assert.NilError(t, holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	e.must("network", "create", "front")
	e.serve("web", "hello", "--network", "front", "-p", "8080:80")
	address := e.addressOf("web", "front")
	sandbox := e.must("inspect", "--format", "{{.NetworkSettings.SandboxID}}", "web")
	assert.Equal(t, len(strings.Trim(sandbox, "0123456789abcdef")), 0, sandbox)
	assert.Equal(t, len(sandbox), 64)
	onHost := func(line string) string {
		out, _ := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", holder.Process.Pid), "sh", "-c", line).CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	e.Kill()
	assert.Equal(t, onHost(fetch("127.0.0.1:8080")), "hello", "nobody is needed for it")
	e.Rewrap("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", holder.Process.Pid))
	assert.NilError(t, e.Start())
	assert.Equal(t, onHost(fetch("127.0.0.1:8080")), "hello")
	assert.Equal(t, e.addressOf("web", "front"), address)
	var is container.InspectResponse
	assert.NilError(t, e.JSON("GET", "/containers/web/json", nil, &is))
	assert.Equal(t, is.NetworkSettings.Ports[network.MustParsePort("80/tcp")][0].HostPort, "8080")
	assert.Equal(t, is.NetworkSettings.SandboxID, sandbox)
	e.must("exec", "web", "true")
	assert.NilError(t, exec.Command("nsenter", "--net="+is.NetworkSettings.SandboxKey, "ip", "link", "show", "eth0").Run())
	r := e.any("run", "--rm", "--network", "front", "--name", "next", "busybox", "hostname", "-i")
	assert.Equal(t, r.Code, 0, r.Stderr)
	assert.Check(t, r.Out() != address)

	// Somebody reloads the firewall.
	onHost("nft flush ruleset")
	eventually(t, "the rules are back", func() bool { return onHost(fetch("127.0.0.1:8080")) == "hello" })
	assert.Check(t, strings.Contains(e.Log(), "it is whole again"))

	// A container that ends while the daemon is dead gives everything back.
	pid := e.must("inspect", "--format", "{{.State.Pid}}", "web")
	e.Kill()
	assert.NilError(t, exec.Command("kill", "-9", pid).Run())
	assert.NilError(t, e.Start())
	eventually(t, "the end is noticed", func() bool { return e.must("inspect", "--format", "{{.State.Running}}", "web") == "false" })
	assert.Equal(t, e.must("inspect", "--format", "{{.NetworkSettings.SandboxID}}{{.NetworkSettings.SandboxKey}}", "web"), "")
	assert.Equal(t, onHost("nft list ruleset | grep -c '8080'"), "0")
	e.must("rm", "web")
	e.must("network", "rm", "front")
}

func TestWithoutABridgePortsAreNotPublishedAndUnknownNetworksFail(t *testing.T) {
	e := startLoaded(t)
	assert.Equal(t, e.must("run", "--rm", "-p", "80:80", "busybox", "sh", "-c", "ip -o link show eth0 2>/dev/null || true"), "")
	r := e.any("run", "--rm", "--network", "mine", "busybox", "true")
	assert.Equal(t, r.Code, 125)
	assert.Check(t, strings.Contains(r.Stderr, "network mine not found"), r.Stderr)
	assert.Equal(t, e.must("ps", "-aq"), "")
}
