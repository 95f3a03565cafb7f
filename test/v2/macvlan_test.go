//go:build v2

package v2

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// neighbour is a machine on the other end of the guest's interface lan0, with the address given untagged; it gives
// what runs a line of shell there.
func neighbour(t *testing.T, address string) func(line string) (string, bool) {
	t.Helper()
	holder := exec.Command("unshare", "-n", "sleep", "900")
	assert.NilError(t, holder.Start())
	t.Cleanup(func() {
		holder.Process.Kill()
		holder.Wait()
		eventually(t, "its wire goes with it", func() bool { _, _, code := try("ip", "link", "show", "lan0"); return code != 0 })
	})
	there := fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)
	eventually(t, "a namespace", func() bool {
		own, _ := os.Readlink("/proc/self/ns/net")
		other, err := os.Readlink(there)
		return err == nil && own != other
	})
	must(t, "ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", fmt.Sprint(holder.Process.Pid))
	must(t, "ip", "link", "set", "lan0", "up")
	at := func(line string) (string, bool) {
		out, stderr, code := try("nsenter", "--net="+there, "sh", "-c", line)
		return out + stderr, code == 0
	}
	out, ok := at("ip link set lo up && ip link set lan0 up && ip addr add " + address + " dev lan0")
	assert.Assert(t, ok, out)
	return at
}

func pings(container, to string) bool {
	_, _, code := try("engine", "exec", container, "ping", "-c", "1", "-W", "5", to)
	return code == 0
}

// Containers on a VLAN of the host's interface, of which the engine makes the interface: their frames are
// tagged, and the interface goes with the network. One that was there before stays.
func TestMacvlanOnAVLANThatTheEngineMakes(t *testing.T) {
	t.Cleanup(func() { clear(t) })
	at := neighbour(t, "10.77.9.1/24")
	link := func(name string) string { out, _, _ := try("ip", "-d", "-o", "link", "show", name); return out }
	must(t, "ip", "link", "add", "link", "lan0", "name", "lan0.30", "type", "vlan", "id", "30")
	must(t, "ip", "link", "set", "lan0.30", "up")
	for _, id := range []string{"10", "30"} {
		out, ok := at("ip link add link lan0 name lan0." + id + " type vlan id " + id + " && ip addr add 10.77." + id + ".1/24 dev lan0." + id + " && ip link set lan0." + id + " up")
		assert.Assert(t, ok, out)
		engine(t, "network", "create", "-d", "macvlan", "--subnet", "10.77."+id+".0/24", "--gateway", "10.77."+id+".1", "-o", "parent=lan0."+id, "vlan"+id)
		engine(t, "run", "-d", "--name", "on"+id, "--network", "vlan"+id, "--ip", "10.77."+id+".5", "busybox", "sleep", "1000")
		assert.Check(t, strings.Contains(link("lan0."+id), "vlan protocol 802.1Q id "+id), link("lan0."+id))
		assert.Check(t, pings("on"+id, "10.77."+id+".1"), "the neighbour's VLAN %s", id)
	}
	reached := func() bool { _, ok := at("busybox ping -c 1 -W 5 10.77.10.5"); return ok }
	assert.Check(t, reached())
	// Without a tag nothing arrives.
	out, ok := at("ip addr del 10.77.10.1/24 dev lan0.10 && ip addr add 10.77.10.1/24 dev lan0")
	assert.Assert(t, ok, out)
	assert.Check(t, !pings("on10", "10.77.10.1"), "frames are not tagged")
	out, ok = at("ip addr del 10.77.10.1/24 dev lan0 && ip addr add 10.77.10.1/24 dev lan0.10")
	assert.Assert(t, ok, out)
	eventually(t, "it is reached again", func() bool { return pings("on10", "10.77.10.1") })

	must(t, "systemctl", "kill", "-s", "KILL", "--kill-who=main", "engine.service")
	assert.Check(t, reached(), "the daemon is dead")
	eventually(t, "the daemon is there again", func() bool { _, _, code := try("engine", "ps"); return code == 0 })
	assert.Check(t, reached(), "the daemon is there again")
	engine(t, "restart", "-t", "0", "on10")
	eventually(t, "after a restart", func() bool { return pings("on10", "10.77.10.1") })

	_, stderr, code := try("engine", "network", "create", "-d", "macvlan", "-o", "parent=lan0.10", "second")
	assert.Check(t, code == 1 && strings.Contains(stderr, "is already using parent interface lan0.10"), stderr)
	clear(t)
	engine(t, "network", "rm", "vlan10", "vlan30")
	assert.Check(t, link("lan0.10") == "", "the VLAN that the engine made is left")
	assert.Check(t, link("lan0.30") != "", "the administrator's VLAN is gone")
}

// A network without a parent, and one that is internal whatever parent it names, stand on an interface of
// type dummy that leads nowhere.
func TestMacvlanWithoutAParentStandsOnADummy(t *testing.T) {
	t.Cleanup(func() { clear(t) })
	neighbour(t, "10.77.40.1/24")
	for name, args := range map[string][]string{"alone": nil, "inner": {"--internal", "-o", "parent=lan0"}} {
		id := engine(t, append(append([]string{"network", "create", "-d", "macvlan", "--subnet", "10.77.40.0/24", "--gateway", "10.77.40.1"}, args...), name)...)
		link := must(t, "ip", "-d", "-o", "link", "show", "dm-"+id[:12])
		assert.Check(t, strings.Contains(link, "dummy"), link)
		assert.Equal(t, engine(t, "network", "inspect", "-f", "{{.Internal}}", name), "true")
		engine(t, "run", "-d", "--name", name+"-one", "--network", name, "--ip", "10.77.40.5", "busybox", "sleep", "1000")
		engine(t, "run", "-d", "--name", name+"-two", "--network", name, "busybox", "sleep", "1000")
		assert.Check(t, pings(name+"-two", "10.77.40.5") && pings(name+"-two", name+"-one"), "each other")
		assert.Check(t, !pings(name+"-two", "10.77.40.1"), "the neighbour of the host")
		clear(t)
		engine(t, "network", "rm", name)
		_, _, code := try("ip", "link", "show", "dm-"+id[:12])
		assert.Check(t, code != 0, "the dummy is left")
	}
}
