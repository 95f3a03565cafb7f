package firewall

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// inNamespace puts the test's thread into a network namespace of its own.
func inNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	assert.NilError(t, unix.Unshare(unix.CLONE_NEWNET))
}

func list(t *testing.T, name string) string {
	out, err := exec.Command("nft", "list", "table", "inet", name).CombinedOutput()
	if err != nil {
		return ""
	}
	return string(out)
}

func TestTheTableSaysWhatTheElementsSay(t *testing.T) {
	inNamespace(t)
	table, err := New("engine-test")
	assert.NilError(t, err)
	defer table.Close()
	p := netip.MustParsePrefix("172.18.0.0/16")
	p6 := netip.MustParsePrefix("fd00:1::/64")
	els := append(Bridge("engine0", false), Guarded(p), Masquerade(p), Hairpin("engine0", p), Guarded(p6), Masquerade(p6), Hairpin("engine0", p6))
	assert.NilError(t, table.Set("network", els))
	to := netip.MustParseAddr("172.18.0.2")
	assert.NilError(t, table.Set("web", Published("tcp", netip.IPv4Unspecified(), 8080, to, 80, 1)))
	assert.NilError(t, table.Set("range", Published("udp", netip.MustParseAddr("127.0.0.1"), 20000, to, 20000, 10001)))
	assert.NilError(t, table.Set("shifted", Published("tcp", netip.IPv4Unspecified(), 30000, to, 40000, 10000)))
	assert.NilError(t, table.Set("six", Published("tcp", netip.IPv6Unspecified(), 8080, netip.MustParseAddr("fd00:1::2"), 80, 1)))
	assert.NilError(t, table.Always(Relay(1023)))
	assert.NilError(t, table.Set("relayed", []Element{Relayed("tcp", netip.IPv6Loopback(), 20000, 10000, 1023)}))
	assert.NilError(t, table.Set("open", []Element{Open("udp", to, 53, 2), OpenToPings(netip.MustParsePrefix("172.19.0.0/16"))}))
	assert.NilError(t, table.Set("all", []Element{OpenToAll(netip.MustParsePrefix("172.20.0.0/16"))}))
	text := list(t, "engine-test")
	for _, want := range []string{
		`elements = { "engine0" }`,
		`elements = { "engine0" . "engine0" }`,
		`elements = { "engine0" . 172.18.0.0/16 }`,
		"elements = { 127.0.0.1 . udp . 20000-30000 : 172.18.0.2 }",
		"0.0.0.0/0 . tcp . 8080 : 172.18.0.2 . 80",
		"0.0.0.0/0 . tcp . 39999 : 172.18.0.2 . 49999",
		"::/0 . tcp . 8080 : fd00:1::2 . 80",
		"ip daddr @guarded4 goto outsiders",
		`iifname != "lo" meta l4proto . th dport @relays goto relay`,
		"chain relay {\n\t\tct status dnat accept\n\t\tdrop\n",
		// What goes from one container to another passes these rules first, and no other.
		"priority raw; policy accept;\n\t\tiifname @bridges goto inside\n",
		"chain inside {\n\t\tip daddr 127.0.0.0/8 drop\n\t}\n",
		"hook forward priority filter - 10; policy accept;\n\t\tiifname . oifname @within goto pass\n",
		"ip6 daddr . meta l4proto . th dport map @relayed6",
		"::1 . tcp . 20000-29999 : 1023",
		"oifname @bridges ip daddr . meta l4proto . th dport @open4 goto pass",
		"172.18.0.2 . udp . 53-54",
		"172.19.0.0/16 . icmp . 0-65535",
		"tcp . 1023",
		"dnat ip to ip daddr . meta l4proto . th dport map @ranges4",
		"ip saddr @masq4 oifname != @bridges masquerade",
		"oifname @bridges ct status dnat goto pass",
	} {
		assert.Check(t, strings.Contains(text, want), "%s is not there", want)
	}
	if t.Failed() {
		t.Log(text[:min(len(text), 8000)])
	}
	assert.NilError(t, table.Set("shifted", nil))
	assert.NilError(t, table.Set("web", nil))
	text = list(t, "engine-test")
	assert.Check(t, !strings.Contains(text, "49999") && !strings.Contains(text, ". 80,") && strings.Contains(text, "20000-30000"))
	assert.NilError(t, table.Delete())
	assert.Equal(t, list(t, "engine-test"), "")
}

func TestWhatOthersFlushIsMadeAgain(t *testing.T) {
	inNamespace(t)
	table, err := New("engine-test")
	assert.NilError(t, err)
	defer table.Close()
	healed, err := table.Heal()
	assert.NilError(t, err)
	assert.Check(t, !healed, "there is nothing to heal before the first element")
	to := netip.MustParseAddr("172.18.0.2")
	assert.NilError(t, table.Set("network", append(Bridge("engine0", false), Guarded(netip.MustParsePrefix("172.18.0.0/16")))))
	assert.NilError(t, table.Set("web", Published("tcp", netip.IPv4Unspecified(), 8080, to, 80, 1)))
	whole := list(t, "engine-test")
	healed, err = table.Heal()
	assert.NilError(t, err)
	assert.Check(t, !healed, "nothing was wrong")
	for _, harm := range []string{
		"flush ruleset", "delete table inet engine-test", "flush chain inet engine-test forward",
		"flush set inet engine-test bridges", "flush set inet engine-test guarded4",
	} {
		out, err := exec.Command("nft", harm).CombinedOutput()
		assert.NilError(t, err, "%s: %s", harm, out)
		healed, err = table.Heal()
		assert.NilError(t, err)
		assert.Check(t, healed, harm)
		assert.Equal(t, list(t, "engine-test"), whole, harm)
	}
	// A change meets the damage before anybody looks for it.
	out, err := exec.Command("nft", "flush ruleset").CombinedOutput()
	assert.NilError(t, err, "%s", out)
	assert.NilError(t, table.Set("web", nil))
	assert.Check(t, strings.Contains(list(t, "engine-test"), `elements = { "engine0" }`))
}

func TestAReloadOfTheFirewallIsNoticed(t *testing.T) {
	inNamespace(t)
	table, err := New("engine-test")
	assert.NilError(t, err)
	defer table.Close()
	told := make(chan error, 10)
	assert.NilError(t, table.Watch(func(_ bool, err error) { told <- err }))
	assert.NilError(t, table.Set("network", Bridge("engine0", false)))
	whole := list(t, "engine-test")
	out, err := exec.Command("nft", "flush ruleset").CombinedOutput()
	assert.NilError(t, err, "%s", out)
	select {
	case err := <-told:
		assert.NilError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("nobody noticed")
	}
	assert.Equal(t, list(t, "engine-test"), whole)
}

func TestAClosedTableTouchesNothing(t *testing.T) {
	inNamespace(t)
	table, err := New("engine-test")
	assert.NilError(t, err)
	assert.NilError(t, table.Set("network", Bridge("engine0", false)))
	assert.NilError(t, table.Close())
	out, err := exec.Command("nft", "flush ruleset").CombinedOutput()
	assert.NilError(t, err, "%s", out)
	healed, err := table.Heal()
	assert.NilError(t, err)
	assert.Check(t, !healed)
	assert.ErrorIs(t, table.Set("web", nil), net.ErrClosed)
	assert.Equal(t, list(t, "engine-test"), "")
}
