package macvlan_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/macvlan"
	"github.com/jobengine/engine/networkdriver/nettest"
)

func open(t *testing.T) networkdriver.Driver {
	d, err := macvlan.New(networkdriver.Config{Instance: "engine-test"})
	assert.NilError(t, err)
	t.Cleanup(func() { _ = d.(networkdriver.Closer).Close() })
	return d
}

func TestMacvlan(t *testing.T) { nettest.Run(t, open) }

// wire puts the test's thread into a namespace that stands for a host, whose interface lan0 leads to
// lan0 of another machine, 10.200.1.1. It gives the file of that one's namespace.
func wire(t *testing.T) (other string) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	assert.NilError(t, unix.Unshare(unix.CLONE_NEWNET))
	other = namespace(t)
	sh(t, fmt.Sprintf("ip link add lan0 type veth peer name lan0 netns %s && ip link set lan0 up", strings.Split(other, "/")[2]))
	in(t, other, "ip link set lo up && ip addr add 10.200.1.1/24 dev lan0 && ip link set lan0 up")
	return other
}

func namespace(t *testing.T) string {
	holder := exec.Command("unshare", "-n", "sleep", "600")
	assert.NilError(t, holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	path := fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)
	own, _ := os.Readlink("/proc/thread-self/ns/net")
	soon(t, "a namespace", func() bool {
		link, _ := os.Readlink(path)
		return link != own
	})
	return path
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: it did not come", what)
		}
	}
}

func sh(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	assert.NilError(t, err, "%s: %s", line, out)
	return strings.TrimSpace(string(out))
}

func in(t *testing.T, path, line string) string {
	t.Helper()
	out, err := exec.Command("nsenter", "--net="+path, "sh", "-c", line).CombinedOutput()
	assert.NilError(t, err, "%s: %s", line, out)
	return strings.TrimSpace(string(out))
}

func pings(path, to string) bool {
	return exec.Command("nsenter", "--net="+path, "busybox", "ping", "-c", "1", "-W", "2", to).Run() == nil
}

func described(n string, options map[string]string) networkdriver.Network {
	pool := netip.MustParsePrefix("10.200.1.0/24")
	return networkdriver.Network{ID: strings.Repeat(n, 64), Name: "n" + n, EnableIPv4: true, Options: options,
		IPv4: []networkdriver.Subnet{{Pool: pool, Gateway: pool.Addr().Next()}}}
}

func join(t *testing.T, d networkdriver.Driver, network string, host int) (path string, j networkdriver.Joined, err error) {
	e, err := d.CreateEndpoint(t.Context(), networkdriver.Endpoint{NetworkID: strings.Repeat(network, 64), ID: strings.Repeat(fmt.Sprint(host%10), 64),
		Address: netip.MustParsePrefix(fmt.Sprintf("10.200.1.%d/24", host))})
	assert.NilError(t, err)
	path = namespace(t)
	j, err = d.Join(t.Context(), e.NetworkID, e.ID, networkdriver.Sandbox{Path: path, Interface: "eth0"})
	if err == nil {
		err = sandbox.Connect(path, sandbox.Interface{Name: "eth0", MAC: e.MAC, Address: e.Address, Gateway: j.Gateway})
	}
	return path, j, err
}

func TestContainersAreOnTheWireOfTheParent(t *testing.T) {
	for _, c := range []struct {
		mode            string
		neighbours, two bool // whether endpoints reach each other, and there may be two
	}{{"", true, true}, {"bridge", true, true}, {"private", false, true}, {"vepa", false, true}, {"passthru", false, false}} {
		t.Run("mode "+c.mode, func(t *testing.T) {
			other := wire(t)
			d := open(t)
			assert.NilError(t, d.CreateNetwork(t.Context(), described("1", map[string]string{"parent": "lan0", "macvlan_mode": c.mode})))
			one, j, err := join(t, d, "1", 2)
			assert.NilError(t, err)
			assert.Equal(t, j.Gateway.String(), "10.200.1.1")
			assert.Check(t, pings(one, "10.200.1.1"), "the neighbour")
			assert.Check(t, pings(other, "10.200.1.2"), "from the neighbour")
			two, _, err := join(t, d, "1", 3)
			if !c.two {
				assert.Check(t, errdefs.IsConflict(err), "%v", err)
				return
			}
			assert.NilError(t, err)
			assert.Equal(t, pings(two, "10.200.1.2"), c.neighbours)
			for host := 2; host <= 3; host++ {
				assert.NilError(t, d.Leave(t.Context(), strings.Repeat("1", 64), strings.Repeat(fmt.Sprint(host), 64), false))
			}
			assert.Check(t, !strings.Contains(in(t, one, "ip -o link"), "eth0"))
			assert.NilError(t, d.DeleteNetwork(t.Context(), strings.Repeat("1", 64)))
			assert.Check(t, strings.Contains(sh(t, "ip -o link"), "lan0"), "a parent of the administrator's stays")
		})
	}
}

func TestWithoutAParentContainersAreAmongThemselves(t *testing.T) {
	wire(t)
	d := open(t)
	alone, internal := described("1", nil), described("2", map[string]string{"parent": "lan0"})
	internal.Internal = true
	for _, nw := range []networkdriver.Network{alone, internal} {
		completed, err := d.(networkdriver.Completer).Complete(nw)
		assert.NilError(t, err)
		assert.Check(t, completed.Internal)
		assert.NilError(t, d.CreateNetwork(t.Context(), nw))
		one, j, err := join(t, d, nw.ID[:1], 2)
		assert.NilError(t, err)
		assert.Check(t, !j.Gateway.IsValid())
		two, _, err := join(t, d, nw.ID[:1], 3)
		assert.NilError(t, err)
		assert.Check(t, pings(one, "10.200.1.3") && pings(two, "10.200.1.2"))
		assert.Check(t, !pings(one, "10.200.1.1"), "the neighbour of the host")
		assert.Check(t, strings.Contains(sh(t, "ip -o link"), "dm-"+nw.ID[:12]))
	}
	assert.NilError(t, d.DeleteNetwork(t.Context(), alone.ID))
	again := open(t).(networkdriver.Cleaner)
	assert.NilError(t, again.Clean(t.Context(), nil))
	assert.Check(t, !strings.Contains(sh(t, "ip -o link"), "dm-"))
}

func TestAVLANIsMadeAndRemoved(t *testing.T) {
	other := wire(t)
	d := open(t)
	nw := described("1", map[string]string{"parent": "lan0.10"})
	err := d.CreateNetwork(t.Context(), nw)
	if errdefs.IsUnavailable(err) {
		assert.ErrorContains(t, err, "the kernel has no VLANs (module 8021q): lan0.10 can not be made")
		t.Skip("SKIPPED: this kernel has no VLANs, so only the refusal was tested")
	}
	assert.NilError(t, err)
	in(t, other, "ip link add link lan0 name lan0.10 type vlan id 10 && ip addr flush dev lan0 && ip addr add 10.200.1.1/24 dev lan0.10 && ip link set lan0.10 up")
	one, _, err := join(t, d, "1", 2)
	assert.NilError(t, err)
	assert.Check(t, pings(one, "10.200.1.1"))
	again := open(t)
	assert.NilError(t, again.CreateNetwork(t.Context(), nw))
	assert.NilError(t, again.DeleteNetwork(t.Context(), nw.ID))
	assert.Check(t, !strings.Contains(sh(t, "ip -o link"), "lan0.10"))
}

func TestRefusals(t *testing.T) {
	wire(t)
	d := open(t)
	assert.NilError(t, d.CreateNetwork(t.Context(), described("1", map[string]string{"parent": "lan0"})))
	assert.ErrorIs(t, d.CreateNetwork(t.Context(), described("2", map[string]string{"parent": "lan0"})), networkdriver.ErrInUse)
	for _, c := range []struct{ key, value, says string }{
		{"macvlan_mode", "fast", "requested macvlan mode 'fast' is not valid"},
		{"parent", "lo", "loopback interface is not a valid macvlan parent link"},
		{"parent", "eth7", "there is no interface of this name"},
		{"parent", "lan0.5000", "vlan id must be between 1-4094, received: 5000"},
		{"parent", "lan0.x", "invalid subinterface vlan name lan0.x"},
		{"parent", "nothing.10", "failed to find master interface nothing"},
		{"parent", "a/b", "invalid parent interface"},
		{"macvlan-mode", "bridge", "unknown option"},
	} {
		err := d.CreateNetwork(t.Context(), described("3", map[string]string{c.key: c.value}))
		assert.ErrorContains(t, err, c.says)
		assert.Check(t, errdefs.IsInvalidArgument(err), "%s=%s: %v", c.key, c.value, err)
	}
	sh(t, "ip link add dm-333333333333 type veth peer name x")
	assert.ErrorIs(t, d.CreateNetwork(t.Context(), described("3", nil)), networkdriver.ErrInUse)
}
