//go:build system

package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

const embedded = "127.0.0.11:53"

func (m machine) place(name string) place {
	return place{m.t, name, fmt.Sprintf("/proc/%d/ns/net", m.pid)}
}

// startNamed gives a daemon with the default bridge on a machine that outlives it, and its neighbour. The
// text is the host's resolv.conf.
func startNamed(t *testing.T, resolvConf string, flags ...string) (e *engine, host, lan machine) {
	t.Helper()
	host, lan = newMachines(t)
	file := filepath.Join(t.TempDir(), "resolv.conf")
	assert.NilError(t, os.WriteFile(file, []byte(resolvConf), 0o644))
	e = startWith(t, harness.Options{Wrap: host.wrap(), Flags: append([]string{"--resolv-conf", file}, flags...), DefaultBridge: true})
	e.load()
	return e, host, lan
}

// resolver answers at an address of a place, by UDP and TCP, and counts what it is asked.
func (p place) resolver(address string, h dns.HandlerFunc) *atomic.Int32 {
	p.t.Helper()
	asked := new(atomic.Int32)
	counted := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		h(w, m)
	})
	var c net.PacketConn
	var l net.Listener
	assert.NilError(p.t, p.do(func() (err error) {
		if c, err = net.ListenPacket("udp", address); err == nil {
			l, err = net.Listen("tcp", address)
		}
		return err
	}))
	for _, s := range []*dns.Server{{PacketConn: c, Handler: counted}, {Listener: l, Handler: counted}} {
		up := make(chan bool)
		s.NotifyStartedFunc = func() { close(up) }
		go s.ActivateAndServe()
		<-up
		p.t.Cleanup(func() { s.Shutdown() })
	}
	return asked
}

// says answers any question with words of text.
func says(words ...string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: words}}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			r.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(r)
	}
}

// query asks the resolver of a place and gives its answer: the data, sorted, or a code. How long it
// waits only bounds a failure.
func (p place) query(network, name string, kind uint16) string {
	p.t.Helper()
	r, err := p.exchange(network, name, kind, time.Minute)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, rr := range r.Answer {
		all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(all)
	switch {
	case r.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[r.Rcode]
	case r.Truncated:
		return "truncated"
	}
	return strings.Join(all, " ")
}

func (p place) exchange(network, name string, kind uint16, patience time.Duration) (*dns.Msg, error) {
	c := dns.Client{Net: network, Timeout: patience}
	var conn *dns.Conn
	err := p.do(func() (err error) {
		conn, err = c.Dial(embedded)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, _, err := c.ExchangeWithConn(new(dns.Msg).SetQuestion(name, kind), conn)
	return r, err
}

// resolves checks what a name is in a container, by UDP and TCP.
func (p place) resolves(name, want string) {
	p.t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		got := p.query(network, name, dns.TypeA)
		assert.Check(p.t, got == want, "in %s, by %s, %s is %q, not %q", p.name, network, name, got, want)
	}
}

func (e *engine) named(name string, args ...string) place {
	e.t.Helper()
	e.must(append(append([]string{"run", "-d", "--name", name}, args...), "busybox", "sleep", "1000")...)
	return e.inside(name)
}

func TestContainersFindEachOtherByName(t *testing.T) {
	e, _, _ := startNamed(t, "")
	e.must("network", "create", "--subnet", "172.30.1.0/24", "front")
	e.must("network", "create", "--subnet", "172.30.2.0/24", "--internal", "back")
	web := e.named("web", "--network", "front", "--ip", "172.30.1.2", "--network-alias", "site", "--network-alias", "WWW")
	db := e.named("db", "--network", "back", "--ip", "172.30.2.3", "--hostname", "store", "--network-alias", "sql")
	e.must("run", "-d", "--name", "web2", "--network", "front", "--ip", "172.30.1.4", "--network-alias", "site", "--link", "web:linked", "busybox", "sleep", "1000")
	web2 := e.inside("web2")

	web2.resolves("web.", "172.30.1.2")
	web2.resolves("WEB.", "172.30.1.2")
	web2.resolves("www.", "172.30.1.2")
	web2.resolves("web.front.", "172.30.1.2")
	web2.resolves("site.", "172.30.1.2 172.30.1.4")
	web2.resolves("linked.", "172.30.1.2")
	web.resolves("linked.", "SERVFAIL") // that is web2's word
	web2.resolves(e.must("inspect", "-f", "{{.Id}}", "web")[:12]+".", "172.30.1.2")
	assert.Equal(t, web2.query("udp", "web.", dns.TypeAAAA), "", "known, without such an address")
	assert.Equal(t, web2.query("udp", "2.1.30.172.in-addr.arpa.", dns.TypePTR), "web.front.")
	assert.Check(t, strings.Contains(e.must("exec", "web2", "ping", "-c", "1", "-w", "60", "site"), "172.30.1."), "a C library's own way")

	// Nobody knows names of networks that he is not on.
	web.resolves("db.", "SERVFAIL")
	db.resolves("web.", "SERVFAIL")
	assert.Equal(t, db.query("udp", "2.1.30.172.in-addr.arpa.", dns.TypePTR), "SERVFAIL")

	// At once, while all run.
	e.must("network", "connect", "--ip", "172.30.2.9", "--alias", "bridgehead", "--link", "db:there", "back", "web")
	web.resolves("db.", "172.30.2.3")
	web.resolves("store.", "172.30.2.3")
	web.resolves("sql.back.", "172.30.2.3")
	web.resolves("there.", "172.30.2.3")
	db.resolves("bridgehead.", "172.30.2.9")
	db.resolves("site.", "SERVFAIL")
	e.must("rename", "db", "base")
	web.resolves("base.", "172.30.2.3")
	web.resolves("sql.", "172.30.2.3")
	web.resolves("db.", "SERVFAIL")
	assert.Equal(t, web.query("udp", "3.2.30.172.in-addr.arpa.", dns.TypePTR), "base.back.")
	e.must("network", "disconnect", "back", "web")
	web.resolves("base.", "SERVFAIL")
	db.resolves("bridgehead.", "SERVFAIL")
	e.must("rm", "-f", "web2")
	web.resolves("site.", "172.30.1.2")

	// A name that is somebody's for the whole world is nobody's here.
	e.named("localhost", "--network", "front", "--network-alias", "x.localhost")
	web.resolves("localhost.", "127.0.0.1")
	web.resolves("x.localhost.", "127.0.0.1")

	// The container's own port 53 is its own.
	own := web.do(func() error {
		c, err := net.ListenPacket("udp", "0.0.0.0:53")
		if err != nil {
			return err
		}
		defer c.Close()
		l, err := net.Listen("tcp", "0.0.0.0:53")
		if err == nil {
			l.Close()
		}
		return err
	})
	assert.NilError(t, own)

	// Those who share a network share its names.
	e.must("run", "--rm", "--network", "container:web", "busybox", "ping", "-c", "1", "-w", "60", "site")
}

func TestIPv6NamesAreAnswered(t *testing.T) {
	e, _, _ := startNamed(t, "")
	e.must("network", "create", "--ipv6", "--subnet", "172.30.1.0/24", "--subnet", "fd30::/64", "both")
	e.must("run", "-d", "--name", "web", "--network", "both", "--ip", "172.30.1.2", "--ip6", "fd30::2", "busybox", "sleep", "1000")
	web := e.inside("web")
	assert.Equal(t, web.query("udp", "web.", dns.TypeA), "172.30.1.2")
	assert.Equal(t, web.query("udp", "web.", dns.TypeAAAA), "fd30::2")
	assert.Equal(t, web.query("udp", "web.", dns.TypeANY), "172.30.1.2 fd30::2")
	assert.Equal(t, web.query("udp", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.d.f.ip6.arpa.", dns.TypePTR), "web.both.")
}

func TestOtherNamesAreAskedOfTheHostsResolvers(t *testing.T) {
	e, host, lan := startNamed(t, "nameserver 127.0.0.53\nnameserver 10.213.0.2\n")
	e.must("network", "create", "front")
	long := strings.Split(strings.Repeat("0123456789 ", 100), " ")
	stub := host.place("the host").resolver("127.0.0.53:53", func(w dns.ResponseWriter, m *dns.Msg) {
		switch m.Question[0].Name {
		case "long.example.":
			says(long[:100]...)(w, m)
		case "absent.example.":
			w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeNameError))
		default:
			says("stub")(w, m)
		}
	})
	said := lan.place("the neighbour").resolver("10.213.0.2:53", says("neighbour"))
	other := lan.place("the neighbour").resolver("10.213.0.2:5353", says("unused"))
	web := e.named("web", "--network", "front")
	assert.Equal(t, web.query("udp", "a.example.", dns.TypeTXT), `"stub"`)
	assert.Equal(t, web.query("tcp", "a.example.", dns.TypeTXT), `"stub"`)
	assert.Equal(t, web.query("udp", "_http._tcp.web.", dns.TypeSRV), `"stub"`)
	assert.Equal(t, web.query("udp", "absent.example.", dns.TypeTXT), "NXDOMAIN")
	assert.Equal(t, web.query("udp", "long.example.", dns.TypeTXT), "truncated")
	assert.Check(t, strings.Count(web.query("tcp", "long.example.", dns.TypeTXT), "0123456789") == 100)
	assert.Check(t, stub.Load() >= 6)
	assert.Equal(t, said.Load(), int32(0))

	// A container's own servers, beside the dead and its own loopback.
	mine := e.named("mine", "--network", "front", "--dns", "127.0.0.9", "--dns", "10.213.0.2")
	assert.Equal(t, mine.query("udp", "a.example.", dns.TypeTXT), `"neighbour"`)
	mine.resolves("web.", e.addressOf("web", "front"))
	own := mine.resolver("127.0.0.9:53", says("within"))
	assert.Equal(t, mine.query("tcp", "a.example.", dns.TypeTXT), `"within"`)
	assert.Check(t, own.Load() > 0 && other.Load() == 0)

	none := e.named("none", "--network", "front", "--dns", "127.0.0.8")
	assert.Equal(t, none.query("udp", "a.example.", dns.TypeTXT), "SERVFAIL")
	assert.Equal(t, none.query("tcp", "a.example.", dns.TypeTXT), "SERVFAIL")
}

func TestTheDaemonsServersAreAskedInThePlaceOfTheHosts(t *testing.T) {
	e, host, _ := startNamed(t, "nameserver 10.213.0.2\nsearch host.example\noptions edns0\n", "--dns", "127.0.0.7", "--dns-search", "a.example", "--dns-opt", "timeout:3")
	host.place("the host").resolver("127.0.0.7:53", says("daemon"))
	e.must("network", "create", "front")
	web := e.named("web", "--network", "front")
	assert.Equal(t, web.query("udp", "a.example.", dns.TypeTXT), `"daemon"`)
	for network, want := range map[string]string{
		"front":  "search a.example\nnameserver 127.0.0.11\noptions timeout:3 ndots:0",
		"bridge": "search a.example\nnameserver 127.0.0.7\noptions timeout:3",
		"host":   "search a.example\nnameserver 127.0.0.7\noptions timeout:3",
	} {
		assert.Check(t, e.must("run", "--rm", "--network", network, "busybox", "cat", "/etc/resolv.conf") == want, network)
	}
}

func TestInternalNetworksLetNoQuestionOut(t *testing.T) {
	e, host, lan := startNamed(t, "nameserver 127.0.0.53\nnameserver 10.213.0.2\n")
	stub := host.place("the host").resolver("127.0.0.53:53", says("stub"))
	said := lan.place("the neighbour").resolver("10.213.0.2:53", says("neighbour"))
	lan.run("nft 'add table ip count; add chain ip count in { type filter hook input priority 0; }; add counter ip count dns; add rule ip count in udp dport 53 counter name dns; add rule ip count in tcp dport 53 counter name dns'")
	e.must("network", "create", "--internal", "--subnet", "172.30.2.0/24", "back")
	db := e.named("db", "--network", "back", "--ip", "172.30.2.2")
	forced := e.named("forced", "--network", "back", "--dns", "10.213.0.2")
	inside := e.named("inside", "--network", "back", "--dns", "172.30.2.2")
	for _, p := range []place{db, forced} {
		for _, network := range []string{"udp", "tcp"} {
			assert.Equal(t, p.query(network, "secret.example.", dns.TypeTXT), "SERVFAIL")
			assert.Equal(t, p.query(network, "1.2.0.192.in-addr.arpa.", dns.TypePTR), "SERVFAIL")
		}
	}
	assert.Equal(t, stub.Load()+said.Load(), int32(0))
	assert.Check(t, strings.Contains(lan.run("nft list counter ip count dns"), "packets 0 "))

	// A resolver on the network itself is no way out.
	db.resolver("172.30.2.2:53", says("within"))
	assert.Equal(t, inside.query("udp", "a.example.", dns.TypeTXT), `"within"`)

	// The counter counts: with a way out, both are asked.
	e.must("network", "create", "front")
	e.must("network", "connect", "front", "forced")
	assert.Equal(t, forced.query("udp", "a.example.", dns.TypeTXT), `"neighbour"`)
	assert.Check(t, !strings.Contains(lan.run("nft list counter ip count dns"), "packets 0 "))
	e.must("network", "disconnect", "front", "forced")
	assert.Equal(t, forced.query("udp", "b.example.", dns.TypeTXT), "SERVFAIL")
}

func TestNamesOutliveTheDaemon(t *testing.T) {
	e, host, _ := startNamed(t, "nameserver 127.0.0.53\n")
	host.place("the host").resolver("127.0.0.53:53", says("stub"))
	e.must("network", "create", "front")
	e.must("network", "create", "back")
	web := e.named("web", "--network", "front", "--network-alias", "site")
	db := e.named("db", "--network", "front", "--link", "web:linked")
	e.must("network", "connect", "back", "db")
	wasWeb, wasDB := e.addressOf("web", "front"), e.addressOf("db", "front")
	for round, end := range []func(){e.Kill, func() { assert.NilError(t, e.Stop()) }} {
		end()
		_, err := web.exchange("udp", "db.", dns.TypeA, time.Second)
		assert.Check(t, err != nil, "nobody is there to answer")
		_, err = web.exchange("tcp", "db.", dns.TypeA, time.Second)
		assert.Check(t, err != nil)
		// A question that is asked now, and again until somebody answers it, is answered.
		waits := make(chan string, 1)
		go func() {
			for deadline := time.Now().Add(time.Minute); ; {
				r, err := web.exchange("udp", "db.", dns.TypeA, time.Second)
				if err == nil && len(r.Answer) == 1 {
					waits <- r.Answer[0].(*dns.A).A.String()
					return
				}
				if time.Now().After(deadline) {
					waits <- "no answer"
					return
				}
			}
		}()
		assert.NilError(t, e.Start())
		assert.Equal(t, <-waits, wasDB)
		db.resolves("site.", wasWeb)
		db.resolves("linked.", wasWeb)
		web.resolves("site.front.", wasWeb)
		assert.Equal(t, web.query("udp", "a.example.", dns.TypeTXT), `"stub"`)
		fresh := e.named(fmt.Sprint("fresh", round), "--network", "front")
		fresh.resolves("site.", wasWeb)
		web.resolves(fmt.Sprintf("fresh%d.", round), e.addressOf(fmt.Sprint("fresh", round), "front"))
		out, err := host.command("nsenter --net=" + web.path + " nft list table ip engine-dns").CombinedOutput()
		assert.NilError(t, err)
		assert.Check(t, strings.Count(string(out), "127.0.0.11") == 4, "the rules are renewed, not added: %s", out)
	}
	e.must("rm", "-f", "web")
	db.resolves("linked.", `"stub"`) // it is nobody's here any more
}

func TestAFloodOfQuestionsHarmsNobodyElse(t *testing.T) {
	e, host, _ := startNamed(t, "nameserver 127.0.0.53\n")
	host.place("the host").resolver("127.0.0.53:53", func(w dns.ResponseWriter, m *dns.Msg) {
		if strings.HasPrefix(m.Question[0].Name, "mute") {
			return
		}
		says("stub")(w, m)
	})
	e.must("network", "create", "front")
	evil := e.named("evil", "--network", "front")
	good := e.named("good", "--network", "front")
	var c net.Conn
	assert.NilError(t, evil.do(func() (err error) { c, err = net.Dial("udp", embedded); return err }))
	defer c.Close()
	for i := range 20000 {
		b, _ := new(dns.Msg).SetQuestion(fmt.Sprintf("mute%d.example.", i), dns.TypeA).Pack()
		if i%3 == 0 {
			b = b[:13+i%20] // and some that is none
		}
		_, err := c.Write(b)
		assert.NilError(t, err)
	}
	var conns []net.Conn
	for range 200 {
		assert.NilError(t, evil.do(func() error {
			c, err := net.Dial("tcp", embedded)
			if err == nil {
				conns = append(conns, c)
			}
			return err
		}))
	}
	good.resolves("evil.", e.addressOf("evil", "front"))
	assert.Equal(t, good.query("udp", "a.example.", dns.TypeTXT), `"stub"`)
	assert.Equal(t, good.query("tcp", "a.example.", dns.TypeTXT), `"stub"`)
	for _, c := range conns {
		c.Close()
	}
	soon(t, "it is answered itself again", func() bool {
		r, err := evil.exchange("udp", "good.", dns.TypeA, time.Second)
		return err == nil && len(r.Answer) == 1
	})
}

func TestResolvConfFollowsTheNetworks(t *testing.T) {
	const host = "# mine\nnameserver 127.0.0.53\nnameserver 10.213.0.2\nnameserver fd13::2\nsearch lan.example\noptions edns0\n"
	e, _, _ := startNamed(t, host)
	e.must("network", "create", "front")
	cat := func(args ...string) string {
		t.Helper()
		return e.must(append(append([]string{"run", "--rm"}, args...), "busybox", "cat", "/etc/resolv.conf")...)
	}
	assert.Equal(t, cat("--network", "host"), strings.TrimSpace(host), "word for word")
	assert.Equal(t, cat("--network", "host", "--dns", "10.0.0.1"), "search lan.example\nnameserver 10.0.0.1\noptions edns0")
	const plain = "search lan.example\nnameserver 10.213.0.2\noptions edns0"
	const own = "search lan.example\nnameserver 127.0.0.11\noptions edns0 ndots:0"
	assert.Equal(t, cat(), plain)
	assert.Equal(t, cat("--network", "none"), plain)
	assert.Equal(t, cat("--dns", "127.0.0.1", "--dns-search", ".", "--dns-opt", "ndots:3"), "nameserver 127.0.0.1\noptions ndots:3")
	assert.Equal(t, cat("--network", "front"), own)
	assert.Equal(t, cat("--network", "front", "--dns", "10.0.0.1", "--dns-search", "x.example", "--dns-opt", "timeout:1"), "search x.example\nnameserver 127.0.0.11\noptions timeout:1 ndots:0")
	assert.Equal(t, cat("--network", "front", "--dns-search", ".", "--dns-opt", "ndots:2"), "nameserver 127.0.0.11\noptions ndots:2")

	in := func(name string) string { return e.must("exec", name, "cat", "/etc/resolv.conf") }
	e.named("web")
	assert.Equal(t, in("web"), plain)
	e.must("network", "connect", "front", "web")
	assert.Equal(t, in("web"), own)
	e.inside("web").resolves("web.", e.addressOf("web", "front"))
	e.must("network", "disconnect", "front", "web")
	assert.Equal(t, in("web"), plain)
	e.must("network", "connect", "front", "web")
	e.must("restart", "-t", "0", "web")
	assert.Equal(t, in("web"), own)

	// What a user has written stays, whatever the networks do.
	e.must("exec", "web", "sh", "-c", "echo nameserver 192.0.2.1 >/etc/resolv.conf")
	e.must("network", "disconnect", "front", "web")
	e.must("restart", "-t", "0", "web")
	assert.Equal(t, in("web"), "nameserver 192.0.2.1")
}

func TestLinksOnTheDefaultBridge(t *testing.T) {
	e, _, _ := startNamed(t, "")
	e.named("db", "--hostname", "dbhost", "--expose", "5432", "-e", "FOO=bar")
	e.named("web", "--link", "db:store", "--link", "db")
	hosts := func() string { return e.must("exec", "web", "grep", "dbhost", "/etc/hosts") }
	line := func(name string) string {
		a := e.addressOf(name, "bridge")
		return a + "\tstore dbhost " + name + "\n" + a + "\tdb dbhost"
	}
	assert.Equal(t, hosts(), line("db"))
	env := e.must("exec", "web", "env")
	for _, want := range []string{"STORE_PORT=tcp://" + e.addressOf("db", "bridge") + ":5432", "STORE_ENV_FOO=bar", "STORE_NAME=/web/store", "DB_PORT_5432_TCP_PROTO=tcp"} {
		assert.Check(t, strings.Contains(env, want+"\n"), "%s is not in\n%s", want, env)
	}
	assert.Equal(t, e.must("inspect", "-f", "{{json .HostConfig.Links}}", "web"), `["/db:/web/store","/db:/web/db"]`)
	assert.Equal(t, e.must("inspect", "-f", "{{.Name}}", "web/store"), "/db")
	assert.Check(t, slices.Contains(strings.Fields(e.must("ps", "--no-trunc", "--format", "{{.Names}}")), "db,web/store,web/db"))

	// It comes back with another address, and the daemon in between.
	e.must("stop", "-t", "0", "db")
	r := e.any("run", "--rm", "--name", "late", "--link", "db", "busybox", "true")
	assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, "Cannot link to a non running container: /db AS /late/db"), r.Stderr)
	was := e.must("exec", "web", "cat", "/etc/hosts")
	e.Kill()
	assert.NilError(t, e.Start())
	for i := range 3 { // one of them has its address
		e.named(fmt.Sprint("taker", i))
	}
	e.must("start", "db")
	assert.Equal(t, hosts(), line("db"))
	assert.Check(t, was != e.must("exec", "web", "cat", "/etc/hosts"))
	e.must("rename", "db", "base")
	assert.Equal(t, e.must("exec", "web", "grep", "dbhost", "/etc/hosts"), e.addressOf("base", "bridge")+"\tstore dbhost base\n"+e.addressOf("base", "bridge")+"\tdb dbhost base")
	e.must("exec", "web", "sh", "-c", "echo 192.0.2.1 mine >>/etc/hosts")
	e.must("restart", "-t", "0", "web")
	assert.Check(t, strings.Contains(e.must("exec", "web", "cat", "/etc/hosts"), "192.0.2.1 mine\n"))
	assert.Equal(t, strings.Count(hosts(), "\n"), 1, "two lines, as before")

	assert.Equal(t, e.must("rm", "--link", "web/store"), "web/store")
	assert.Equal(t, hosts(), e.addressOf("base", "bridge")+"\tdb dbhost base")
	r = e.any("rm", "--link", "web")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, "Conflict, cannot remove the default link name of the container"), r.Stderr)
	for args, want := range map[string]string{
		"--link nosuch":                          "could not get container for nosuch: No such container: nosuch",
		"--link base --network host":             "conflicting options: host type networking can't be used with links",
		"--link apart":                           "Cannot link to /apart, as it does not belong to the default network",
		"--link base:a:b":                        "bad format for links: base:a:b",
		"--link x --network bridge":              "could not get container for x",
		"--network-alias a":                      "network-scoped aliases are only supported for user-defined networks",
		"--dns nonsense":                         "IP address is not correctly formatted: nonsense",
		"--add-host h:nonsense":                  `invalid IP address in add-host: "nonsense"`,
		"--dns-search bad/domain":                "bad/domain is not a valid domain",
		"--network container:web --dns 10.0.0.1": "conflicting options: dns and the network mode",
	} {
		if strings.Contains(args, "apart") {
			e.must("network", "create", "front")
			e.named("apart", "--network", "front")
		}
		r := e.any(append(append([]string{"run", "--rm", "--name", "refused"}, strings.Fields(args)...), "busybox", "true")...)
		assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, want), "%s: %d %s", args, r.Code, r.Stderr)
		assert.Check(t, !strings.Contains(e.must("ps", "-a", "--format", "{{.Names}}"), "refused"), args)
	}
}

func TestHostGatewayIsTheHost(t *testing.T) {
	e, _, _ := startNamed(t, "")
	e.must("network", "create", "--subnet", "172.30.1.0/24", "front")
	gateway := e.must("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
	for _, network := range []string{"bridge", "front"} {
		out := e.must("run", "--rm", "--network", network, "--add-host", "host.docker.internal:host-gateway", "--add-host", "h6=[fd00::1]", "busybox", "cat", "/etc/hosts")
		assert.Check(t, strings.Contains(out, gateway+"\thost.docker.internal\n") && strings.Contains(out, "fd00::1\th6\n"), "%s: %s", network, out)
	}
	e.must("run", "-d", "--name", "again", "--add-host", "h:host-gateway", "busybox", "sleep", "1000")
	assert.NilError(t, e.Stop())
	e.Reflag("--host-gateway-ip", "192.0.2.1", "--host-gateway-ip", "2001:db8::1")
	assert.NilError(t, e.Start())
	out := e.must("run", "--rm", "--add-host", "h:host-gateway", "busybox", "grep", "h$", "/etc/hosts")
	assert.Equal(t, out, "192.0.2.1\th\n2001:db8::1\th")
	e.must("restart", "-t", "0", "again")
	assert.Equal(t, e.must("exec", "again", "grep", "h$", "/etc/hosts"), out, "a container of before has it from its next start on")
}

func TestNamesInInspectAreThoseOfTheVersion(t *testing.T) {
	e, _, _ := startNamed(t, "")
	e.must("network", "create", "front")
	e.must("run", "-d", "--name", "web", "--hostname", "www", "--network", "front", "--network-alias", "site", "busybox", "sleep", "1000")
	id := e.must("inspect", "-f", "{{.Id}}", "web")[:12]
	for version, want := range map[string]string{"bare:/v1.44": fmt.Sprintf("[site %s www] []", id), "bare:/v1.45": fmt.Sprintf("[site] [web site %s www]", id)} {
		var is container.InspectResponse
		assert.NilError(t, e.JSON("GET", version+"/containers/web/json", nil, &is))
		ep := is.NetworkSettings.Networks["front"]
		assert.Equal(t, fmt.Sprint(ep.Aliases, ep.DNSNames), want)
	}
}

func TestARemappedContainerHasNames(t *testing.T) {
	dir, wrap := privateEtc(t, "")
	e := loaded(t, harness.Options{
		Dir: dir, DefaultBridge: true, Flags: []string{"--userns-remap=default"},
		Wrap: append(wrap, "unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" "$@"`),
	})
	e.must("network", "create", "front")
	web := e.named("web", "--network", "front")
	db := e.named("db")
	assert.Check(t, e.must("exec", "db", "cat", "/proc/self/uid_map") != "")
	web.resolves("web.", e.addressOf("web", "front"))
	e.must("network", "connect", "front", "db")
	assert.Check(t, strings.Contains(e.must("exec", "db", "cat", "/etc/resolv.conf"), "nameserver 127.0.0.11\n"))
	db.resolves("web.", e.addressOf("web", "front"))
	assert.Equal(t, e.any("exec", "db", "sh", "-c", "echo 192.0.2.1 mine >>/etc/hosts && echo nameserver 192.0.2.1 >/etc/resolv.conf").Code, 0, "they are its root's")
	e.must("network", "disconnect", "front", "db")
	assert.Equal(t, e.must("exec", "db", "cat", "/etc/resolv.conf"), "nameserver 192.0.2.1")
	web.resolves("web.front.", e.addressOf("web", "front"))
}

func TestAContainerCanOnlyHarmItsOwnNames(t *testing.T) {
	e, _, _ := startNamed(t, "")
	e.must("network", "create", "front")
	evil := e.named("evil", "--network", "front", "--cap-add", "NET_ADMIN")
	good := e.named("good", "--network", "front")
	// Files of any size and kind in the place of the engine's.
	e.must("exec", "evil", "sh", "-c", "dd if=/dev/zero of=/etc/hosts bs=1M count=3 2>/dev/null; dd if=/dev/zero of=/etc/resolv.conf bs=1M count=3 2>/dev/null")
	e.must("network", "create", "back")
	e.must("network", "connect", "back", "evil")
	assert.Equal(t, e.must("exec", "evil", "stat", "-c", "%s", "/etc/hosts", "/etc/resolv.conf"), "3145728\n3145728", "they stay as they are")
	evil.sh("nft flush ruleset; ip addr del 127.0.0.1/8 dev lo; ip link set lo down")
	good.resolves("evil.", e.addressOf("evil", "front"))
	e.must("restart", "-t", "0", "evil")
	e.inside("evil").resolves("good.", e.addressOf("good", "front"))
}
