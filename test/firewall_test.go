//go:build system

package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// Each of these drops what is forwarded and what nobody accepted. unload is what their end or reload does.
var firewalls = []struct{ name, load, unload string }{
	{"ufw", "iptables-nft-restore <%s/ufw.rules; ip6tables-nft -P FORWARD DROP",
		"iptables-nft -F; iptables-nft -X; iptables-nft -P FORWARD ACCEPT; iptables-nft -P INPUT ACCEPT; ip6tables-nft -P FORWARD ACCEPT"},
	{"firewalld", "nft -f %s/firewalld.nft", "nft delete table inet firewalld"},
	{"an old firewalld, which flushes everything", "nft -f %s/firewalld.nft", "nft flush ruleset"},
	{"iptables-legacy", "iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP; : %s", "iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT; ip6tables-legacy -F; ip6tables-legacy -P FORWARD ACCEPT"},
	{"an administrator's table", "nft 'add table inet own; add chain inet own fw { type filter hook forward priority 0; policy drop; }'; : %s", "nft delete table inet own"},
}

// traffic tells whether the engine's container web has all the connections that it should: the neighbour
// reaches its published port, and it reaches the neighbour.
func (e *engine) traffic(lan machine, port int) (string, bool) {
	in, _ := lan.try(fetch(fmt.Sprintf("10.213.0.1:%d", port)))
	out := e.any("exec", "web", "sh", "-c", fetch("10.213.0.2"))
	return fmt.Sprintf("to the container: %q, from it: %q", in, out.Out()), in == "hello" && out.Out() == "neighbour"
}

func TestContainersPassTheFirewallsOfOthers(t *testing.T) {
	host, lan := newMachines(t)
	dir := testdata(t, "firewalls")
	e := host.engine("--bridge", "engine0")
	lan.serve(80, "neighbour")
	e.serve("web", "hello", "--network", "bridge", "-p", "8080:80")
	flows := func(when string) {
		t.Helper()
		soon(t, when, func() bool {
			seen, ok := e.traffic(lan, 8080)
			if !ok {
				t.Logf("%s, still: %s", when, seen)
			}
			return ok
		})
	}
	own := e.addressOf("web", "bridge")
	apart := func(when string) {
		t.Helper()
		out, err := lan.try(fetch(own + ":81"))
		assert.Check(t, err != nil, "%s: a port that is not published is reached: %s", when, out)
	}
	flows("without a firewall")
	// One connection lives through all of it.
	talk := e.talk(lan)
	before := host.rules()
	for _, f := range firewalls {
		load, unload := fmt.Sprintf(f.load, dir), f.unload
		host.run(load)
		flows(f.name + " after us")
		apart(f.name)
		talk(f.name)
		host.run(unload)
		host.run(load)
		flows(f.name + " reloaded")
		assert.NilError(t, e.Stop())
		host.run(unload)
		host.run(load)
		assert.NilError(t, e.Start())
		flows(f.name + " before us")
		e.Kill()
		host.run(unload + "; nft flush ruleset")
		host.run(load)
		assert.NilError(t, e.Start())
		flows(f.name + " and a flush while we are down")
		apart(f.name)
		talk(f.name + ", again")
		host.run(unload)
		flows(f.name + " gone")
		soon(t, "no rule of ours is left in "+f.name, func() bool { return !strings.Contains(host.rules(), "let-through") })
		host.run("for t in filter; do nft delete table ip $t; nft delete table ip6 $t; done 2>/dev/null; true")
	}
	var after string
	soon(t, "the rules are what they were", func() bool { after = host.rules(); return inOrder(after) == inOrder(before) }, func() string { return before + "\nand are\n" + after })
}

// inOrder makes two lists of rules comparable: the kernel gives the elements of a set in any order.
func inOrder(rules string) string {
	parts := strings.FieldsFunc(rules, func(r rune) bool { return strings.ContainsRune("\n,{}", r) })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// talk keeps a connection from the neighbour to a published port of a container, and gives a function
// that sends a line through it and awaits the answer.
func (e *engine) talk(lan machine) func(what string) {
	e.t.Helper()
	e.must("run", "-d", "--name", "echo", "--network", "bridge", "-p", "7000:7000", "busybox", "nc", "-l", "-p", "7000", "-e", "cat")
	cmd := lan.command("exec busybox nc 10.213.0.1 7000")
	stdin, err := cmd.StdinPipe()
	assert.NilError(e.t, err)
	stdout, err := cmd.StdoutPipe()
	assert.NilError(e.t, err)
	soon(e.t, "it listens", func() bool { return e.any("exec", "echo", "sh", "-c", "netstat -ltn | grep -q :7000").Code == 0 })
	assert.NilError(e.t, cmd.Start())
	e.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	buffer := make([]byte, 256)
	return func(what string) {
		e.t.Helper()
		_, err := fmt.Fprintln(stdin, what)
		assert.NilError(e.t, err)
		for got := ""; !strings.HasSuffix(got, "\n"); {
			n, err := stdout.Read(buffer)
			assert.NilError(e.t, err, "%s: the connection is cut", what)
			got += string(buffer[:n])
		}
	}
}

func TestTheLastNetworkTakesAllRulesWithIt(t *testing.T) {
	host := newMachine(t)
	host.run("iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP; nft add table inet own")
	before := host.rules() + host.run("ip -o link | wc -l; cat /proc/sys/net/ipv4/conf/*/route_localnet")
	e := host.engine("--bridge", "none")
	e.must("network", "create", "front")
	e.must("network", "create", "--internal", "back")
	// Rules of iptables-legacy are asked for now and then: nobody tells of changes.
	soon(t, "each of the three lets containers through", func() bool { return strings.Count(host.rules(), "let-through") >= 3 }, host.rules)
	e.must("run", "--rm", "--network", "front", "-p", "8080:80", "busybox", "true")
	e.must("network", "rm", "front", "back")
	assert.Equal(t, inOrder(host.rules()+host.run("ip -o link | wc -l; cat /proc/sys/net/ipv4/conf/*/route_localnet")), inOrder(before))
}

// dockerd of Debian on the same host: whoever starts first, and whoever starts again, the containers of both
// have their connections.
func TestDockerdOnTheSameHost(t *testing.T) {
	for _, order := range []string{"we are first", "dockerd is first"} {
		t.Run(order, func(t *testing.T) {
			host, lan := newMachines(t)
			lan.serve(80, "neighbour")
			var e *engine
			var d *harness.Daemon
			ours := func() {
				e = host.engine("--bridge", "engine0")
				e.serve("web", "hello", "--network", "bridge", "-p", "8080:80")
			}
			theirs := func() {
				var err error
				d, err = harness.StartDockerd(harness.Options{Wrap: host.wrap()})
				assert.NilError(t, err)
				t.Cleanup(func() {
					if err := d.Destroy(); err != nil {
						t.Errorf("dockerd: %v", err)
					}
				})
			}
			if order == "we are first" {
				ours()
				theirs()
			} else {
				theirs()
				ours()
			}
			image, err := openFile(t, busybox)
			assert.NilError(t, err)
			code, text, _, err := d.Do("POST", "/images/load?quiet=1", image)
			assert.Check(t, err == nil && code == 200, text)
			docker := harness.DockerCLIs()[0]
			run := func(args ...string) string {
				t.Helper()
				r, err := d.Run(docker, args...)
				assert.NilError(t, err)
				assert.Equal(t, r.Code, 0, r.Stderr)
				return r.Out()
			}
			run("run", "-d", "--restart", "always", "--stop-signal", "KILL", "--name", "theirs", "-p", "9080:80", "busybox", "sh", "-c", "mkdir /www; echo theirs >/www/index.html; httpd -f -p 80 -h /www")
			both := func(when string) {
				t.Helper()
				soon(t, when+": ours", func() bool { _, ok := e.traffic(lan, 8080); return ok })
				soon(t, when+": theirs", func() bool {
					in, _ := lan.try(fetch("10.213.0.1:9080"))
					r, err := d.Run(docker, "exec", "theirs", "sh", "-c", fetch("10.213.0.2"))
					return in == "theirs" && err == nil && r.Out() == "neighbour"
				})
				soon(t, when+": theirs from ours, by the host's port", func() bool {
					return e.any("exec", "web", "sh", "-c", fetch("10.213.0.1:9080")).Out() == "theirs"
				})
				soon(t, when+": ours from theirs, by the host's port", func() bool {
					r, err := d.Run(docker, "exec", "theirs", "sh", "-c", fetch("10.213.0.1:8080"))
					return err == nil && r.Out() == "hello"
				})
				r, err := d.Run(docker, "exec", "theirs", "sh", "-c", fetch(e.addressOf("web", "bridge")))
				assert.Check(t, err == nil && r.Code != 0, "%s: a container of theirs reaches ours without a published port", when)
			}
			both(order)
			assert.NilError(t, d.Stop())
			assert.NilError(t, d.Start())
			both("dockerd again")
			assert.NilError(t, e.Stop())
			host.run("nft delete chain ip filter nothing 2>/dev/null; true")
			assert.NilError(t, e.Start())
			both("we again")
			e.must("rm", "-f", "web")
			run("rm", "-f", "theirs")
		})
	}
}
