//go:build system

package test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// sleeper starts a container that does nothing, and gives its address on the default bridge.
func (e *engine) sleeper(name string, args ...string) netip.Addr {
	e.t.Helper()
	e.must(append(append([]string{"run", "-d", "--name", name}, args...), "busybox", "sleep", "100000")...)
	a, _ := netip.ParseAddr(e.must("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name))
	return a
}

func (e *engine) address6(name string) string {
	e.t.Helper()
	return e.must("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}", name)
}

func TestTheDefaultBridgeGoesByItsFlags(t *testing.T) {
	e := startRouted(t, "--bip", "10.66.7.9/24", "--fixed-cidr", "10.66.7.64/26", "--mtu", "1320", "--icc=false", "--ip", "127.0.0.1",
		"--ipv6", "--fixed-cidr-v6", "fd66:7::/64")
	lan := e.neighbourPlace()
	bridge := e.must("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, "bridge")
	assert.Check(t, strings.Contains(e.host().sh("ip -o -4 addr show "+bridge), " 10.66.7.9/24 "), "--bip is the address of the bridge")
	assert.Check(t, strings.Contains(e.host().sh("ip -o -6 addr show "+bridge), " fd66:7::1/64 "))

	one, two := e.sleeper("one", "-p", "8080:80"), e.sleeper("two")
	for _, a := range []netip.Addr{one, two} {
		assert.Check(t, netip.MustParsePrefix("10.66.7.64/26").Contains(a), "--fixed-cidr: %s", a)
	}
	six := e.address6("one")
	assert.Check(t, netip.MustParsePrefix("fd66:7::/64").Contains(netip.MustParseAddr(six)), "--fixed-cidr-v6: %s", six)
	assert.Check(t, strings.Contains(e.inside("one").sh("ip route"), "default via 10.66.7.9 "))
	assert.Check(t, strings.Contains(e.inside("one").sh("ip -6 route"), "default via fd66:7::1 "))
	assert.Check(t, strings.Contains(e.inside("one").sh("ip link show eth0"), " mtu 1320 "), "--mtu")

	for _, name := range []string{"one", "two"} {
		e.inside(name).serve("tcp", ":80", name)
	}
	e.host().gets("tcp", two.String()+":80", "two 10.66.7.9")
	e.host().gets("tcp", "["+six+"]:80", "one fd66:7::1")
	e.inside("one").getsNothing("tcp", two.String()+":80") // --icc=false
	e.inside("two").getsNothing("tcp", "["+six+"]:80")

	assert.Equal(t, e.must("port", "one"), "80/tcp -> 127.0.0.1:8080", "--ip")
	e.must("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=10.213.0.1", "mine")
	e.sleeper("three", "--network", "mine", "-p", "8081:80")
	assert.Equal(t, e.must("port", "three"), "80/tcp -> 10.213.0.1:8081", "the network's option")
	e.host().gets("tcp", "127.0.0.1:8080", "one 10.66.7.9")
	lan.getsNothing("tcp", "10.213.0.1:8080")
}

func TestForwardingAndMasqueradingAreSwitchedOff(t *testing.T) {
	// A new namespace has the setting of the machine.
	notForwarding := []string{"unshare", "-n", "sh", "-c", `echo 0 >/proc/sys/net/ipv4/ip_forward && ip link set lo up && exec "$0" "$@"`}
	e := startWith(t, harness.Options{DefaultBridge: true, Wrap: notForwarding, Flags: []string{"--ip-forward=false", "--ip-masq=false"}})
	e.load()
	assert.Equal(t, e.host().sh("cat /proc/sys/net/ipv4/ip_forward"), "0", "--ip-forward=false leaves the host's setting alone")
	lan := e.neighbourPlace()
	lan.serve("tcp", ":80", "lan")
	own := e.sleeper("one")
	e.inside("one").getsNothing("tcp", "10.213.0.2:80")
	e.host().sh("echo 1 >/proc/sys/net/ipv4/ip_forward")
	e.inside("one").gets("tcp", "10.213.0.2:80", "lan "+own.String()) // --ip-masq=false

	masked := startWith(t, harness.Options{DefaultBridge: true, Wrap: notForwarding})
	masked.load()
	assert.Equal(t, masked.host().sh("cat /proc/sys/net/ipv4/ip_forward"), "1")
	lan = masked.neighbourPlace()
	lan.serve("tcp", ":80", "lan")
	masked.sleeper("one")
	masked.inside("one").gets("tcp", "10.213.0.2:80", "lan 10.213.0.1")
}

func TestSubnetsComeFromThePoolsAndBesideWhatTheHostReaches(t *testing.T) {
	e := startRouted(t, "--default-address-pool", "base=10.70.0.0/16,size=26", "--default-address-pool", "base=fd70::/48,size=64")
	subnets := func(e *engine, nw string) string {
		return e.must("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", nw)
	}
	assert.Equal(t, subnets(e, "bridge"), "10.70.0.0/26")
	e.must("network", "create", "--ipv6", "mine")
	assert.Equal(t, subnets(e, "mine"), "10.70.0.64/26 fd70::/64")

	// A route to the first of the pools, and a resolver in the second.
	file := filepath.Join(t.TempDir(), "resolv.conf")
	assert.NilError(t, os.WriteFile(file, []byte("nameserver 172.18.0.53\n"), 0o644))
	e = startWith(t, harness.Options{DefaultBridge: true, Wrap: []string{"unshare", "-n", "-m", "sh", "-c",
		`ip link set lo up && ip link add there type bridge && ip link set there up && ip route add 172.17.128.0/17 dev there && mount --bind ` + file + ` /etc/resolv.conf && exec "$0" "$@"`}})
	assert.Equal(t, subnets(e, "bridge"), "172.19.0.0/16")
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	assert.Equal(t, subnets(e, "bridge"), "172.19.0.0/16", "it is kept")
}

func TestABridgeOfTheAdministratorsIsUsedAndStays(t *testing.T) {
	e := startWith(t, harness.Options{Flags: []string{"--bridge", "mine0"}, Wrap: []string{"unshare", "-n", "sh", "-c",
		`ip link set lo up && { ip link show mine0 2>/dev/null || { ip link add mine0 type bridge && ip addr add 10.77.0.1/24 dev mine0 && ip addr add 10.78.0.1/24 dev mine0; }; } && exec "$0" "$@"`}})
	e.load()
	ns := e.host()
	own := e.sleeper("one", "-p", "8080:80")
	assert.Check(t, netip.MustParsePrefix("10.77.0.0/24").Contains(own), "%s", own)
	e.inside("one").serve("tcp", ":80", "one")
	ns.gets("tcp", "127.0.0.1:8080", "one 10.77.0.1")
	e.must("rm", "-f", "one")

	// It outlives the daemon's interest in it; the namespace lives as long as somebody is in it.
	holder := newHolder(t, ns)
	assert.NilError(t, e.Stop())
	e.Rewrap("nsenter", "--net="+holder)
	e.Reflag("--bridge", "none")
	assert.NilError(t, e.Start())
	out := e.host().sh("ip -o -4 addr show mine0")
	assert.Check(t, strings.Contains(out, " 10.77.0.1/24 ") && strings.Contains(out, " 10.78.0.1/24 "), out)

	assert.NilError(t, e.Stop())
	e.Reflag("--bridge", "absent0")
	assert.ErrorContains(t, e.Start(), "bridge absent0 does not exist")
	e.Reflag("--bridge", "mine0")
	assert.NilError(t, os.Remove(e.LogFile))
	place{t, "", holder}.sh("ip addr flush dev mine0")
	assert.ErrorContains(t, e.Start(), "bridge mine0 has no IPv4 address")
	e.Reflag("--bridge", "none")
	assert.NilError(t, e.Start())
}

// newHolder keeps a namespace alive, and gives a path of it.
func newHolder(t *testing.T, p place) string {
	t.Helper()
	f, err := os.Open(p.path)
	assert.NilError(t, err)
	t.Cleanup(func() { f.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
}
