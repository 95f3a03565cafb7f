//go:build system

package test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// Containers that do not reach each other reach what they are linked to: its exposed ports, whatever becomes of either, of the daemon and of names.
func TestLinksOpenPortsWhereContainersDoNotReachEachOther(t *testing.T) {
	host := newMachine(t)
	e := startWith(t, harness.Options{Wrap: host.wrap(), DefaultBridge: true, Flags: []string{"--bip", "10.66.9.1/24", "--icc=false"}})
	e.load()
	serve := func(name string) {
		t.Helper()
		for _, port := range []string{":80", ":81", ":7001"} {
			e.inside(name).serve("tcp", port, name)
		}
		e.inside(name).serve("udp", ":53", name)
	}
	db := e.sleeper("db", "--expose", "80", "--expose", "7000-7002", "--expose", "53/udp")
	app := e.sleeper("app", "--expose", "80", "--link", "db:store")
	e.sleeper("other")
	serve("db")
	serve("app")
	only := func(db, app netip.Addr) {
		t.Helper()
		e.inside("app").gets("tcp", db.String()+":80", "db "+app.String())
		e.inside("app").gets("tcp", db.String()+":7001", "db "+app.String())
		e.inside("app").gets("udp", db.String()+":53", "db "+app.String())
		var wg sync.WaitGroup
		for _, c := range []struct {
			from place
			to   netip.AddrPort
		}{{e.inside("app"), netip.AddrPortFrom(db, 81)}, {e.inside("db"), netip.AddrPortFrom(app, 80)}, {e.inside("other"), netip.AddrPortFrom(db, 80)}} {
			wg.Go(func() { c.from.getsNothing("tcp", c.to.String()) })
		}
		wg.Wait()
	}
	only(db, app)
	linked := func() string { return host.run("nft list set inet " + e.table() + " linked4") }
	address := func(name string) netip.Addr {
		t.Helper()
		return netip.MustParseAddr(e.addressOf(name, "bridge"))
	}

	e.must("rename", "db", "base")
	e.must("rename", "base", "db")
	only(db, app)

	// What had its address is not linked any more, and db is again.
	e.must("stop", "-t", "0", "db")
	assert.Check(t, !strings.Contains(linked(), db.String()), linked())
	e.must("start", "db")
	serve("db")
	db = address("db")
	only(db, app)
	e.must("restart", "-t", "0", "app")
	serve("app")
	app = address("app")
	only(db, app)

	for _, end := range []func(){func() { assert.NilError(t, e.Stop()) }, e.Kill} {
		end()
		assert.NilError(t, e.Start())
		only(db, app)
	}
	// db ends, and comes back, while nobody looks.
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "db")
	e.Kill()
	host.run("kill -9 " + pid)
	assert.NilError(t, e.Start())
	eventually(t, "the end is noticed", func() bool { return e.must("inspect", "-f", "{{.State.Running}}", "db") == "false" })
	assert.Check(t, !strings.Contains(linked(), "elements"), linked())
	e.must("start", "db")
	serve("db")
	db = address("db")
	only(db, app)

	e.must("rm", "--link", "app/store")
	e.inside("app").getsNothing("tcp", db.String()+":80")
	assert.Check(t, !strings.Contains(linked(), "elements"), linked())
	pvlan := "cat /proc/sys/net/ipv4/conf/" + e.must("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, "bridge") + "/proxy_arp_pvlan"
	assert.Equal(t, host.run(pvlan), "0", "the host answers for others as long as somebody is linked")

	e.sleeper("late", "--link", "db")
	e.inside("late").gets("tcp", db.String()+":80", "db "+e.addressOf("late", "bridge"))
	assert.Equal(t, host.run(pvlan), "1")
	e.must("rm", "-f", "late", "db", "app", "other")
	assert.Check(t, !strings.Contains(linked(), "elements"), linked())
}
