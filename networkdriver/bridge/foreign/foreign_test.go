package foreign

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

const mark = 0x00e9_0000

// host puts the test's thread into a network namespace of its own and makes Filters there.
func host(t *testing.T) *Filters {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	assert.NilError(t, unix.Unshare(unix.CLONE_NEWNET))
	return filters(t, "engine-test")
}

func filters(t *testing.T, own string) *Filters {
	f, err := New(Config{Own: own, Mark: mark, Priority: -10, Told: func(added, early []string, err error) {
		if err != nil {
			t.Log(err)
		}
	}})
	assert.NilError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func sh(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	assert.NilError(t, err, "%s: %s", line, out)
	return strings.TrimSpace(string(out))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: it did not come", what)
		}
	}
}

// ours counts our rules in a listing.
func ours(text string) int { return strings.Count(text, "engine-test:let-through") }

func TestTheRuleStandsBeforeWhatDropsEverything(t *testing.T) {
	f := host(t)
	for _, c := range []struct{ name, load, list, after, before string }{
		{"policy", "nft 'add table ip other; add chain ip other forward { type filter hook forward priority 0; policy drop; }; add rule ip other forward ip saddr 192.0.2.1 drop'",
			"nft list ruleset", "192.0.2.1 drop", ""},
		{"reject at the end", "nft 'add table inet other; add chain inet other fw { type filter hook forward priority 5; }; add rule inet other fw ip saddr 192.0.2.1 drop; add rule inet other fw counter reject'",
			"nft list ruleset", "192.0.2.1 drop", "reject"},
		{"a closing of two rules", "nft 'add table ip other; add chain ip other fw { type filter hook forward priority 5; }; add rule ip other fw tcp dport 25 drop; " +
			"add rule ip other fw meta l4proto tcp reject with tcp reset; add rule ip other fw log; add rule ip other fw reject'",
			"nft list ruleset", "25 drop", "tcp reset"},
		{"IPv6", "nft 'add table ip6 other; add chain ip6 other fw { type filter hook forward priority 0; policy drop; }'", "nft list ruleset", "", ""},
		{"firewalld", "nft -f testdata/firewalld.nft", "nft list chain inet firewalld filter_FORWARD", "addr-unreachable", "jump filter_FORWARD_ZONES"},
		{"ufw", "iptables-nft-restore <testdata/ufw.rules", "iptables-nft -S", "-j ufw-track-forward", ""},
		{"ufw with a reject", "(sed '/^COMMIT/d' testdata/ufw.rules; echo '-A ufw-reject-forward -j REJECT'; echo COMMIT) | iptables-nft-restore", "iptables-nft -S FORWARD",
			"-j ufw-after-logging-forward", "-j ufw-reject-forward"},
		{"firewalld with iptables", "iptables-nft-restore <testdata/firewalld.rules", "iptables-nft -S FORWARD", "-j FORWARD_direct", "-j FORWARD_ZONES"},
		{"firewalld with iptables-legacy", "iptables-legacy-restore <testdata/firewalld.rules", "iptables-legacy -S FORWARD", "-j FORWARD_direct", "-j FORWARD_ZONES"},
		{"iptables-nft", "iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -s 192.0.2.1 -j DROP; iptables-nft -A FORWARD -p tcp -j REJECT --reject-with tcp-reset; iptables-nft -A FORWARD -j REJECT",
			"iptables-nft -S", "192.0.2.1/32 -j DROP", "-j REJECT --reject-with tcp-reset"},
		{"ip6tables-nft", "ip6tables-nft -P FORWARD DROP", "ip6tables-nft -S", "", ""},
		{"iptables-legacy", "iptables-legacy -P FORWARD DROP; iptables-legacy -A FORWARD -s 192.0.2.1 -j DROP; iptables-legacy -A FORWARD -p tcp -j REJECT --reject-with tcp-reset; iptables-legacy -A FORWARD -j REJECT",
			"iptables-legacy -S", "192.0.2.1/32 -j DROP", "-j REJECT --reject-with tcp-reset"},
		{"ip6tables-legacy", "ip6tables-legacy -P FORWARD DROP", "ip6tables-legacy -S", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtime.LockOSThread()
			assert.NilError(t, f.inside(func() error {
				sh(t, c.load)
				without := sh(t, c.list)
				assert.NilError(t, f.Clean(), "what was looked at once is looked at again")
				assert.NilError(t, f.Want(true))
				text := sh(t, c.list)
				at := strings.Index(text, "engine-test:let-through")
				assert.Check(t, at >= 0 && ours(text) == 1, text)
				assert.Check(t, strings.Contains(text, "0xe90000") || strings.Contains(text, "0x00e90000"), text)
				assert.Check(t, strings.Contains(c.list, "nft list") || strings.Contains(text, "-m mark --mark 0xe90000/0xe90000"), text)
				assert.Check(t, c.after == "" || strings.LastIndex(text, c.after) < at, text)
				assert.Check(t, c.before == "" || strings.LastIndex(text, c.before) > at, text)
				assert.NilError(t, f.Want(false))
				assert.Equal(t, sh(t, c.list), without)
				sh(t, "nft flush ruleset; iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F; iptables-legacy -X; ip6tables-legacy -P FORWARD ACCEPT")
				return nil
			}))
		})
	}
}

func TestALookThatFailedIsRepeated(t *testing.T) {
	f := host(t)
	assert.NilError(t, f.Want(true))
	told := make(chan error, 100)
	f.mu.Lock()
	own := f.cfg.Own
	f.cfg.Own = strings.Repeat("x", 300) // the kernel takes no comment of this length
	f.cfg.Told = func(_, _ []string, err error) {
		if err != nil {
			told <- err
		}
	}
	f.mu.Unlock()
	sh(t, "nft 'add table ip other; add chain ip other forward { type filter hook forward priority 0; policy drop; }'")
	select {
	case err := <-told:
		assert.ErrorContains(t, err, "rules in chains of others")
	case <-time.After(60 * time.Second):
		t.Fatal("no error is told")
	}
	f.mu.Lock()
	f.cfg.Own = own
	f.mu.Unlock()
	eventually(t, "our rule, though nothing else changes", func() bool { return ours(sh(t, "nft list ruleset")) == 1 })
	assert.Equal(t, len(told), 0, "it is told once")
}

func TestFiltersThatLetThroughAreLeftAlone(t *testing.T) {
	f := host(t)
	sh(t, `nft 'add table ip a; add chain ip a fw { type filter hook forward priority 0; policy accept; }; add rule ip a fw ip saddr 192.0.2.1 drop
		add table ip b; add chain ip b fw { type filter hook forward priority 0; policy drop; }; add rule ip b fw accept
		add table inet c; add chain inet c in { type filter hook input priority 0; policy drop; }; add chain inet c unused; add rule inet c unused drop
		add table ip d; add chain ip d sub; add chain ip d fw { type filter hook forward priority 0; }; add rule ip d sub return; add rule ip d sub drop; add rule ip d fw jump sub'`)
	before := sh(t, "nft list ruleset; iptables-legacy -S; ip6tables-legacy -S")
	assert.NilError(t, f.Want(true))
	assert.Equal(t, sh(t, "nft list ruleset; iptables-legacy -S; ip6tables-legacy -S"), before)
}

func TestAPolicyThatComesLaterIsNoticed(t *testing.T) {
	f := host(t)
	sh(t, "nft 'add table ip other; add chain ip other fw { type filter hook forward priority 0; policy accept; }'")
	assert.NilError(t, f.Want(true))
	assert.Equal(t, ours(sh(t, "nft list ruleset")), 0)
	sh(t, "nft 'add chain ip other fw { policy drop; }'")
	eventually(t, "the rule", func() bool { return ours(sh(t, "nft list ruleset")) == 1 })
	sh(t, "nft flush ruleset; iptables-nft -P FORWARD DROP")
	eventually(t, "the rule after a reload", func() bool { return ours(sh(t, "iptables-nft -S")) == 1 })
	// Somebody puts a reject before it.
	sh(t, "iptables-nft -I FORWARD -j REJECT")
	eventually(t, "the rule moves", func() bool {
		text := sh(t, "iptables-nft -S")
		return ours(text) == 1 && strings.Index(text, "let-through") < strings.Index(text, "-j REJECT")
	})
	sh(t, "iptables-nft -P FORWARD ACCEPT; iptables-nft -D FORWARD -j REJECT")
	eventually(t, "it goes when nothing drops any more", func() bool { return ours(sh(t, "iptables-nft -S")) == 0 })
	sh(t, "iptables-legacy -P FORWARD DROP; ip6tables-legacy -A FORWARD -j REJECT")
	eventually(t, "the old tables", func() bool {
		return ours(sh(t, "iptables-legacy -S")) == 1 && ours(sh(t, "ip6tables-legacy -S")) == 1
	})
	sh(t, "iptables-legacy -F FORWARD")
	eventually(t, "the old table again", func() bool { return ours(sh(t, "iptables-legacy -S")) == 1 })
	assert.NilError(t, f.Want(false))
	assert.Equal(t, ours(sh(t, "nft list ruleset; iptables-legacy -S; ip6tables-legacy -S")), 0)
}

func TestTwoEnginesHaveARuleEach(t *testing.T) {
	f := host(t)
	sh(t, "nft 'add table ip other; add chain ip other fw { type filter hook forward priority 0; policy drop; }'; iptables-legacy -P FORWARD DROP")
	other := filters(t, "engine")
	assert.NilError(t, f.Want(true))
	assert.NilError(t, other.Want(true))
	listing := "nft list ruleset; iptables-legacy -S"
	assert.Equal(t, strings.Count(sh(t, listing), ":let-through"), 4)
	assert.NilError(t, f.Clean())
	text := sh(t, listing)
	assert.Equal(t, ours(text), 0)
	assert.Equal(t, strings.Count(text, "engine:let-through"), 2)
}

func TestAChainThatDropsTooEarlyIsReported(t *testing.T) {
	f := host(t)
	var told []string
	f.cfg.Told = func(_, early []string, _ error) { told = append(told, early...) }
	sh(t, "nft 'add table ip other; add chain ip other fw { type filter hook forward priority -150; policy drop; }'")
	assert.NilError(t, f.Want(true))
	assert.DeepEqual(t, told, []string{"ip other fw"})
	assert.Equal(t, ours(sh(t, "nft list ruleset")), 0)
}

func TestCountersDoNotMakeAnOldTableAnother(t *testing.T) {
	f := host(t)
	sh(t, "ip link set lo up; iptables-legacy -A INPUT -i lo -j ACCEPT; ip6tables-legacy -A INPUT -i lo -j ACCEPT")
	prints := func() (all []uint64) {
		for _, l := range f.old {
			now, err := l.fingerprint()
			assert.NilError(t, err)
			all = append(all, now)
		}
		return all
	}
	first := prints()
	assert.Check(t, first[0] != 0 && first[1] != 0)
	sh(t, "ping -c 2 -i 0.2 127.0.0.1 || busybox ping -c 2 127.0.0.1")
	assert.Assert(t, !strings.Contains(sh(t, "iptables-legacy -v -S INPUT"), "-i lo -c 0 0"))
	assert.DeepEqual(t, prints(), first)
	sh(t, "ip6tables-legacy -P FORWARD DROP")
	second := prints()
	assert.Check(t, second[0] == first[0] && second[1] != first[1])
}

func FuzzListings(f *testing.F) {
	text, _ := os.ReadFile("testdata/ufw.rules")
	f.Add(string(text))
	f.Add("-P FORWARD DROP\n-A FORWARD -j\n-A FORWARD -g FORWARD\n-A FORWARD -m comment --comment \"engine:let-through\" -j ACCEPT\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, drops := parseLegacy(text, "engine:let-through")
		_, before, _ := rules.place("FORWARD", drops)
		if before < 0 || before > len(rules["FORWARD"]) {
			t.Fatal(fmt.Sprint(before))
		}
	})
}
