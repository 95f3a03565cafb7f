package bridge_test

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge"
)

func sh(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	assert.NilError(t, err, "%s: %s", line, out)
	return strings.TrimSpace(string(out))
}

func open(t *testing.T, instance string) networkdriver.Driver {
	d, err := bridge.New(networkdriver.Config{Instance: instance, IPForward: true})
	assert.NilError(t, err)
	t.Cleanup(func() { _ = d.(networkdriver.Closer).Close() })
	return d
}

func onOwnHost(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	assert.NilError(t, unix.Unshare(unix.CLONE_NEWNET))
}

func described(n, name string) networkdriver.Network {
	pool := netip.MustParsePrefix("10.20" + n + ".1.0/24")
	nw := networkdriver.Network{ID: strings.Repeat(n, 64), Name: "n" + n, EnableIPv4: true, IPv4: []networkdriver.Subnet{{Pool: pool, Gateway: pool.Addr().Next()}}}
	if name != "" {
		nw.Options = map[string]string{"com.docker.network.bridge.name": name}
	}
	return nw
}

func TestABridgeOfTheAdministratorIsUsedAndKept(t *testing.T) {
	onOwnHost(t)
	sh(t, "ip link add br0 type bridge && ip addr add 192.0.2.1/24 dev br0 && ip addr add 10.201.1.1/24 dev br0 && ip link set br0 up")
	d := open(t, "engine-test")
	nw := described("1", "br0")
	assert.NilError(t, d.CreateNetwork(t.Context(), nw))
	addresses := sh(t, "ip -4 -o addr show br0")
	assert.Check(t, strings.Contains(addresses, "192.0.2.1/24") && strings.Contains(addresses, "10.201.1.1/24"), addresses)
	// A process that takes over does not take it for its own.
	again := open(t, "engine-test")
	assert.NilError(t, again.(networkdriver.Restorer).Restore(t.Context(), []networkdriver.Restored{{Network: nw}}))
	assert.NilError(t, again.DeleteNetwork(t.Context(), nw.ID))
	assert.Check(t, strings.Contains(sh(t, "ip -4 -o addr show br0"), "192.0.2.1/24"))
}

func TestCleanRemovesWhatIsOursAndNothingElse(t *testing.T) {
	onOwnHost(t)
	sh(t, `ip link add br0 type bridge; ip addr add 10.204.1.1/24 dev br0; ip link set br0 up; ip link add br-111111111111 type bridge; ip link add vethadmin type veth peer name admin; ip link set vethadmin master br0
		nft 'add table ip other; add chain ip other fw { type filter hook forward priority 0; policy drop; }'; iptables-legacy -P FORWARD DROP`)
	state := "ip -o link | sed 's/^[0-9]*: //; s/ state .*//; s/<[^>]*>//; s/ mtu.*//' | sort; nft list ruleset; iptables-legacy -S; cat /proc/sys/net/ipv4/conf/br0/route_localnet"
	before := sh(t, state)
	d, other := open(t, "engine-test"), open(t, "engine-two")
	own, used, named := described("3", ""), described("4", "br0"), described("5", "mine0")
	for _, nw := range []networkdriver.Network{own, used, named} {
		assert.NilError(t, d.CreateNetwork(t.Context(), nw))
	}
	assert.NilError(t, other.CreateNetwork(t.Context(), described("6", "")))
	// A pair whose engine was killed before it could remove it.
	sh(t, "ip link add veth0123456789 type veth peer name stray && ip link set veth0123456789 master mine0")
	assert.Equal(t, sh(t, "cat /proc/sys/net/ipv4/conf/br0/route_localnet"), "1")

	assert.NilError(t, d.(networkdriver.Closer).Close(), "a living one would heal what is removed")

	// The records of two networks are lost: the kernel knows them.
	after := open(t, "engine-test").(networkdriver.Cleaner)
	assert.NilError(t, after.Clean(t.Context(), []networkdriver.Network{used}))
	assert.NilError(t, after.Clean(t.Context(), nil), "twice")
	text := sh(t, state)
	assert.Check(t, strings.Contains(text, "br-666666666666") && strings.Contains(text, "engine-two"), "another engine's: %s", text)
	assert.NilError(t, other.DeleteNetwork(t.Context(), described("6", "").ID))
	assert.Equal(t, sh(t, state), before)
}

func TestRulesOfALastNetworkAreRemovedByTheNextProcess(t *testing.T) {
	onOwnHost(t)
	sh(t, "iptables-nft -P FORWARD DROP")
	before := sh(t, "nft list ruleset")
	d := open(t, "engine-test")
	nw := described("1", "")
	assert.NilError(t, d.CreateNetwork(t.Context(), nw))
	assert.NilError(t, d.(networkdriver.Closer).Close())
	sh(t, "ip link del br-111111111111")
	assert.NilError(t, open(t, "engine-test").(networkdriver.Restorer).Restore(t.Context(), nil))
	assert.Equal(t, sh(t, "nft list ruleset"), before)
}
