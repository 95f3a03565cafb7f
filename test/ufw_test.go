//go:build system

package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// webs serves on port 8080 by IPv4 and on 8086 by IPv6 too. flows waits until all of it is reached from the neighbour, and
// the neighbour from it; closed checks that a port which is not published stays out of reach.
func (e *engine) webs(host, lan machine) (flows, closed func(when string)) {
	e.t.Helper()
	e.must("network", "create", "--ipv6", "both")
	e.serve("web", "hello", "--network", "bridge", "-p", "8080:80")
	e.serve("six", "hello", "--network", "both", "-p", "8086:80")
	fetch6 := "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox timeout 4 busybox nc -w 3 fd13::1 8086 | tail -n 1 | grep ."
	flows = func(when string) {
		e.t.Helper()
		seen := ""
		soon(e.t, when, func() bool {
			text, ok := e.traffic(lan, 8080)
			by6, _ := lan.try(fetch6)
			seen = fmt.Sprintf("%s, by IPv6: %q", text, by6)
			return ok && by6 == "hello"
		}, func() string { return seen }, host.rules, func() string {
			lines := strings.Split(e.Log(), "\n")
			return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, "bridge networks") }), "\n")
		})
	}
	own := e.addressOf("web", "bridge")
	closed = func(when string) {
		e.t.Helper()
		out, err := lan.try(strings.Replace(fetch(own+":81"), "-w 3", "-w 1", 1))
		assert.Check(e.t, err != nil, "%s: a port that is not published is reached: %s", when, out)
	}
	return flows, closed
}

// refused checks that a machine does not reach a port of its neighbour.
func (m machine) refused(when string, port int) {
	m.t.Helper()
	out, err := m.try(strings.Replace(fetch(fmt.Sprintf("10.213.0.1:%d", port)), "-w 3", "-w 1", 1))
	assert.Check(m.t, err != nil, "%s: port %d is reached: %s", when, port, out)
}

// asksHost tells whether a container reaches the host's own port 8090.
func (e *engine) asksHost() bool {
	e.t.Helper()
	return e.any("exec", "web", "sh", "-c", fetch("10.213.0.1:8090")).Out() == "the-host"
}

// The real ufw, with the iptables of both kinds: whoever starts first, the containers have their
// connections and ufw's own rules hold.
func TestUFWOnTheSameHost(t *testing.T) {
	kinds := []string{"nft"}
	if thorough() {
		kinds = append(kinds, "legacy")
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			host, lan := newWholeHosts(t, kind)
			lan.serve(80, "neighbour")
			host.serve(8090, "the-host")
			e := host.engine("--bridge", "engine0")
			flows, closed := e.webs(host, lan)
			flows("without ufw")
			talk := e.talk(lan)

			host.run("ufw --force enable")
			assert.Check(t, strings.Contains(host.run("iptables-"+kind+" -S"), "-P FORWARD DROP"))
			flows("ufw after us")
			closed("ufw after us")
			talk("ufw after us")
			lan.refused("ufw denies what it is not told to allow", 8090)
			assert.Check(t, !e.asksHost(), "containers are no exception")
			host.run("ufw allow from 172.16.0.0/12 to any port 8090 proto tcp")
			soon(t, "what ufw allows containers", e.asksHost)
			lan.refused("what ufw allows containers only", 8090)
			// A drop of the administrator's for what is forwarded stays one.
			host.run("ufw route deny proto tcp from 10.213.0.2 to any port 80")
			lan.refused("ufw denies the route", 8080)
			host.run("ufw route delete deny proto tcp from 10.213.0.2 to any port 80 && ufw reload")
			flows("a reload")
			talk("a reload")
			if thorough() {
				host.run("ufw allow 8090/tcp")
				soon(t, "what ufw allows", func() bool { out, _ := lan.try(fetch("10.213.0.1:8090")); return out == "the-host" })
				host.run("ufw delete allow 8090/tcp && ufw default deny routed && ufw default reject incoming && ufw reload")
				flows("ufw rejects")
				lan.refused("ufw rejects", 8090)
				host.run("ufw default reject routed && ufw reload")
				flows("ufw rejects routes")
				closed("ufw rejects routes")
				assert.NilError(t, e.Stop())
				host.run("ufw disable && ufw --force enable")
				assert.NilError(t, e.Start())
				flows("ufw before us")
			}
			e.Kill()
			host.run("nft flush ruleset; ufw reload")
			assert.NilError(t, e.Start())
			flows("a flush while we are dead")
			closed("a flush while we are dead")
			lan.refused("a flush while we are dead", 8090)
			host.run("nft delete table inet $(nft list tables inet | sed -n 's/table inet //p' | grep -m1 engine)")
			flows("our table is gone")
			host.run("ufw disable")
			flows("ufw disabled")
			host.run("ufw --force enable")
			flows("ufw enabled again")
			talk("at the end")

			e.must("rm", "-f", "web", "six", "echo")
			e.must("network", "rm", "both")
			assert.NilError(t, e.Stop())
			out, code := e.cleanUp(host)
			assert.Equal(t, code, 0, out)
			without := host.rules()
			assert.Check(t, !strings.Contains(without, "let-through") && !strings.Contains(without, "engine"), without)
			host.run("ufw status | grep -q 'Status: active'")
			assert.NilError(t, e.Start())
			assert.NilError(t, e.Stop())
			_, code = e.cleanUp(host)
			assert.Equal(t, code, 0)
			assert.Equal(t, inOrder(host.rules()), inOrder(without), "we have not touched ufw's")
			assert.NilError(t, e.Start())
		})
	}
}
