//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// firewalld starts the real one on a host with a bus of its own, and gives what stops it.
func (m machine) firewalld() (stop func()) {
	m.t.Helper()
	stop = m.background("firewalld", "firewalld --nofork --nopid")
	soon(m.t, "firewalld", func() bool { _, err := m.try("firewall-cmd --state"); return err == nil })
	return stop
}

// The real firewalld, with each of its back-ends: whoever starts first, and whatever it reloads, the
// containers have their connections and what firewalld closes stays closed.
func TestFirewalldOnTheSameHost(t *testing.T) {
	needThorough(t)
	for _, c := range []struct{ backend, iptables string }{{"nftables", "nft"}, {"iptables", "nft"}, {"iptables", "legacy"}} {
		t.Run(c.backend+" "+c.iptables, func(t *testing.T) {
			host, lan := newWholeHosts(t, c.iptables)
			host.run("sed -i 's/^FirewallBackend=.*/FirewallBackend=" + c.backend + "/' /etc/firewalld/firewalld.conf")
			host.background("bus", "dbus-daemon --system --nofork --nopidfile")
			soon(t, "a bus", func() bool { _, err := host.try("test -S /run/dbus/system_bus_socket"); return err == nil })
			t.Log("firewalld", host.run("firewall-offline-cmd --version"), c.backend)
			lan.serve(80, "neighbour")
			host.serve(8090, "the-host")
			e := host.engine("--bridge", "engine0")
			flows, closed := e.webs(host, lan)
			flows("without firewalld")
			talk := e.talk(lan)
			all := func(when string) {
				t.Helper()
				flows(when)
				closed(when)
				lan.refused(when, 8090)
				talk(when)
			}

			stop := host.firewalld()
			all("firewalld after us")
			host.run("firewall-cmd -q --add-port=8090/tcp")
			soon(t, "what firewalld allows", func() bool { out, _ := lan.try(fetch("10.213.0.1:8090")); return out == "the-host" })
			host.run("firewall-cmd -q --reload")
			all("a reload")
			assert.Check(t, !e.asksHost(), "containers are no exception")
			host.run("firewall-cmd -q --zone=trusted --add-source=172.16.0.0/12")
			soon(t, "what firewalld allows containers", e.asksHost)
			host.run("firewall-cmd -q --complete-reload")
			all("a complete reload")
			host.run("firewall-cmd -q --set-default-zone=drop")
			all("the zone drop")
			host.run("firewall-cmd -q --panic-on")
			lan.refused("panic", 8080)
			lan.refused("panic", 8090)
			host.run("firewall-cmd -q --panic-off")
			all("after the panic")
			stop()
			flows("firewalld is gone")
			stop = host.firewalld()
			all("firewalld again")

			assert.NilError(t, e.Stop())
			host.run("firewall-cmd -q --reload")
			assert.NilError(t, e.Start())
			all("firewalld before us")
			e.Kill()
			stop()
			host.run("nft flush ruleset; iptables-legacy -F; ip6tables-legacy -F")
			stop = host.firewalld()
			assert.NilError(t, e.Start())
			all("a flush while we are dead")

			e.must("rm", "-f", "web", "six", "echo")
			e.must("network", "rm", "both")
			assert.NilError(t, e.Stop())
			out, code := e.cleanUp(host)
			assert.Equal(t, code, 0, out)
			rules := host.rules()
			assert.Check(t, !strings.Contains(rules, "let-through") && !strings.Contains(rules, "engine"), rules)
			host.run("firewall-cmd --state")
			lan.refused("the engine is gone", 8090)
			stop()
			assert.NilError(t, e.Start())
		})
	}
}
