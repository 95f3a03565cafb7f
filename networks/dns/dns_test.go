package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"gotest.tools/v3/assert"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// front and back are two networks; whoever has this view is on both.
func testView() *View {
	front, back := NewZone("front"), NewZone("back_end")
	front.Set("1", []string{"web", "Www", "0123456789ab"}, ip("10.1.0.2"), ip("fd01::2"))
	front.Set("2", []string{"db", "www"}, ip("10.1.0.3"), netip.Addr{})
	back.Set("3", []string{"web"}, ip("10.2.0.2"))
	back.Set("4", []string{"only.back"}, ip("10.2.0.4"))
	return &View{Zones: []ZoneView{{Zone: front, Links: map[string]string{"store": "db"}}, {Zone: back}}}
}

// resolve asks a view by way of a message of an independent implementation.
func resolve(t *testing.T, v *View, name string, kind uint16) (*dns.Msg, bool) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	b, err := m.Pack()
	assert.NilError(t, err)
	out, forward := v.answer(new(scratch), b, true)
	if forward {
		return nil, true
	}
	r := new(dns.Msg)
	assert.NilError(t, r.Unpack(out), "%x", out)
	assert.Equal(t, r.Id, m.Id)
	assert.Check(t, r.Response && r.RecursionAvailable && !r.Truncated)
	assert.DeepEqual(t, r.Question, m.Question)
	return r, false
}

func TestNamesOfAContainersNetworksAreAnswered(t *testing.T) {
	v := testView()
	for _, c := range []struct {
		name string
		kind uint16
		want string // sorted data, "forward", or a code
	}{
		{"web.", dns.TypeA, "10.1.0.2"},
		{"WeB.", dns.TypeA, "10.1.0.2"},
		{"web.", dns.TypeAAAA, "fd01::2"},
		{"0123456789ab.", dns.TypeA, "10.1.0.2"},
		{"db.", dns.TypeAAAA, ""}, // there, but without an address of the kind
		{"db.", dns.TypeTXT, ""},
		{"www.", dns.TypeAAAA, "fd01::2"},
		{"store.", dns.TypeA, "10.1.0.3"},
		{"web.front.", dns.TypeA, "10.1.0.2"},
		{"web.back_end.", dns.TypeA, "10.2.0.2"},
		{"store.front.", dns.TypeA, "10.1.0.3"},
		{"only.back.", dns.TypeA, "10.2.0.4"},
		{"db.back_end.", dns.TypeA, "forward"},
		{"web.elsewhere.", dns.TypeA, "forward"},
		{"nobody.", dns.TypeA, "forward"},
		{"_http._tcp.web.", dns.TypeSRV, "forward"},
		{".", dns.TypeNS, "forward"},
		{"localhost.", dns.TypeA, "127.0.0.1"},
		{"a.localhost.", dns.TypeAAAA, "::1"},
		{"2.0.1.10.in-addr.arpa.", dns.TypePTR, "web.front."},
		{"4.0.2.10.in-addr.arpa.", dns.TypePTR, "only.back.back_end."},
		{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa.", dns.TypePTR, "web.front."},
		{"9.9.9.9.in-addr.arpa.", dns.TypePTR, "forward"},
		{"x.in-addr.arpa.", dns.TypePTR, "forward"},
		{"web.", dns.TypeAXFR, "REFUSED"},
	} {
		r, forward := resolve(t, v, c.name, c.kind)
		got := "forward"
		if !forward {
			got = ""
			if r.Rcode != dns.RcodeSuccess {
				got = dns.RcodeToString[r.Rcode]
			}
			for _, rr := range r.Answer {
				assert.Check(t, strings.EqualFold(rr.Header().Name, c.name))
				assert.Equal(t, rr.Header().Ttl, uint32(0))
				got = strings.TrimPrefix(rr.String(), rr.Header().String())
			}
		}
		assert.Check(t, got == c.want, "%s %s: %q, not %q", c.name, dns.TypeToString[c.kind], got, c.want)
	}
}

func TestAnAliasOfSeveralGivesAllOfThemInTurn(t *testing.T) {
	v := testView()
	m := new(dns.Msg).SetQuestion("www.", dns.TypeA)
	b, _ := m.Pack()
	var s scratch
	first := map[string]int{}
	for range 10 {
		out, _ := v.answer(&s, b, true)
		r := new(dns.Msg)
		assert.NilError(t, r.Unpack(out))
		assert.Equal(t, len(r.Answer), 2)
		first[r.Answer[0].(*dns.A).A.String()]++
	}
	assert.DeepEqual(t, first, map[string]int{"10.1.0.2": 5, "10.1.0.3": 5})
}

func TestNamesGoWithTheirOwners(t *testing.T) {
	v := testView()
	z := v.Zones[0].Zone
	z.Set("1", []string{"other"}, ip("10.1.0.9"))
	_, forward := resolve(t, v, "0123456789ab.", dns.TypeA)
	assert.Check(t, forward)
	r, _ := resolve(t, v, "web.", dns.TypeA)
	assert.Equal(t, r.Answer[0].(*dns.A).A.String(), "10.2.0.2", "the other network has one too")
	r, _ = resolve(t, v, "www.", dns.TypeA)
	assert.Equal(t, len(r.Answer), 1)
	_, forward = resolve(t, v, "2.0.1.10.in-addr.arpa.", dns.TypePTR)
	assert.Check(t, forward)
	z.Remove("1")
	z.Remove("2")
	z.Remove("2")
	assert.Equal(t, len(z.names)+len(z.addrs)+len(z.entries), 0)
}

func TestNamesThatDNSCanNotSayAreNotSaid(t *testing.T) {
	z := NewZone("front")
	z.Set("1", []string{strings.Repeat("x", 64), "a..b", "short", ""}, ip("10.1.0.2"))
	r, _ := resolve(t, &View{Zones: []ZoneView{{Zone: z}}}, "2.0.1.10.in-addr.arpa.", dns.TypePTR)
	assert.Equal(t, r.Answer[0].(*dns.PTR).Ptr, "short.front.")
	_, forward := resolve(t, &View{Zones: []ZoneView{{Zone: z}}}, ".", dns.TypeA)
	assert.Check(t, forward)
}

func TestAnswersAreAsLongAsTheAskerSays(t *testing.T) {
	z := NewZone("front")
	for i := range 200 {
		z.Set(fmt.Sprint(i), []string{"many"}, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}))
	}
	v := &View{Zones: []ZoneView{{Zone: z}}}
	for _, c := range []struct {
		edns uint16
		udp  bool
		most int
		all  bool
	}{{0, true, 512, false}, {100, true, 512, false}, {1232, true, 1232, false}, {4096, true, 4096, true}, {0, false, 65535, true}} {
		m := new(dns.Msg).SetQuestion("many.", dns.TypeA)
		if c.edns > 0 {
			m.SetEdns0(c.edns, false)
		}
		b, _ := m.Pack()
		out, _ := v.answer(new(scratch), b, c.udp)
		r := new(dns.Msg)
		assert.NilError(t, r.Unpack(out))
		assert.Check(t, len(out) <= c.most && (c.all || len(out) > c.most-30), "%d", len(out))
		assert.Equal(t, r.Truncated, !c.all)
		assert.Equal(t, len(r.Answer) == 200, c.all)
		assert.Equal(t, r.IsEdns0() != nil, c.edns > 0)
	}
}

func TestMalformedMessagesAreRefusedOrIgnored(t *testing.T) {
	good, _ := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	with := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	for what, c := range map[string]struct {
		msg  []byte
		code int // -1: no answer
	}{
		"nothing":             {nil, -1},
		"half a header":       {good[:11], -1},
		"an answer":           {with(func(b []byte) []byte { b[2] |= 0x80; return b }), -1},
		"an update":           {with(func(b []byte) []byte { b[2] |= 5 << 3; return b }), codeNotImpl},
		"no question":         {with(func(b []byte) []byte { b[5] = 0; return b }), codeFormat},
		"two questions":       {with(func(b []byte) []byte { b[5] = 2; return b }), codeFormat},
		"a cut question":      {good[:len(good)-1], codeFormat},
		"a cut name":          {good[:14], codeFormat},
		"a pointer":           {with(func(b []byte) []byte { b[12] = 0xc0; return b }), codeFormat},
		"records that lack":   {with(func(b []byte) []byte { b[11] = 1; return b }), codeFormat},
		"65535 records":       {with(func(b []byte) []byte { b[10], b[11] = 255, 255; return b }), codeFormat},
		"a class of its own":  {with(func(b []byte) []byte { b[len(b)-1] = 3; return b }), codeRefused},
		"a name of 256 bytes": {append(append(bytes.Clone(good[:12]), bytes.Repeat(append([]byte{63}, bytes.Repeat([]byte{'x'}, 63)...), 4)...), 0, 0, 1, 0, 1), codeFormat},
		"too long":            {append(bytes.Clone(good), make([]byte, maxQuery)...), codeFormat},
	} {
		out, forward := testView().answer(new(scratch), c.msg, true)
		assert.Check(t, !forward, what)
		if c.code < 0 {
			assert.Check(t, out == nil, what)
			continue
		}
		r := new(dns.Msg)
		assert.NilError(t, r.Unpack(out), what)
		assert.Equal(t, r.Rcode, c.code, what)
		assert.Equal(t, r.Id, binary.BigEndian.Uint16(good), what)
	}
}

// upstream is a DNS server on a free port of loopback, for UDP and TCP.
func upstream(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		assert.NilError(t, err)
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close()
			continue
		}
		for _, s := range []*dns.Server{{Listener: l, Handler: h}, {PacketConn: pc, Handler: h}} {
			up := make(chan bool)
			s.NotifyStartedFunc = func() { close(up) }
			go s.ActivateAndServe()
			<-up
			t.Cleanup(func() { s.Shutdown() })
		}
		return l.Addr().String()
	}
	t.Fatal("no port is free for both")
	return ""
}

// dialThem dials by number: 192.0.2.N is the N-th address.
func dialThem(addresses ...string) dialer {
	return func(s server, network string, deadline time.Time) (io.ReadWriteCloser, error) {
		c, err := net.Dial(network, addresses[s.addr.As4()[3]])
		if err == nil {
			err = c.SetDeadline(deadline)
		}
		return c, err
	}
}

func servers(n int) (list []server) {
	for i := range n {
		list = append(list, server{addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
	}
	return list
}

func says(word string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.Answer = append(r.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{word}})
		w.WriteMsg(r)
	}
}

func code(c int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(m, c)) }
}

func silent(dns.ResponseWriter, *dns.Msg) {}

// exchangeText asks servers at addresses, each of which may take as long as it likes.
func exchangeText(t *testing.T, g *grudges, network string, addresses ...string) string {
	t.Helper()
	return exchangeWithin(t, time.Minute, g, network, addresses...)
}

func exchangeWithin(t *testing.T, hedge time.Duration, g *grudges, network string, addresses ...string) string {
	t.Helper()
	m := new(dns.Msg).SetQuestion("example.org.", dns.TypeTXT)
	b, _ := m.Pack()
	f := NewForwarder(nil, "")
	f.patience, f.hedge = time.Minute, hedge
	out := f.exchange(context.Background(), servers(len(addresses)), g, dialThem(addresses...), b, len(b), network)
	if out == nil {
		return "nothing"
	}
	r := new(dns.Msg)
	assert.NilError(t, r.Unpack(out))
	assert.Equal(t, r.Id, m.Id, "the asker's id, not ours")
	if len(r.Answer) == 0 {
		return dns.RcodeToString[r.Rcode]
	}
	return r.Answer[0].(*dns.TXT).Txt[0]
}

func TestTheNextServerIsAskedWhenOneFails(t *testing.T) {
	dead := "127.0.0.1:1"
	one, two := upstream(t, says("one")), upstream(t, says("two"))
	failing, absent, mute := upstream(t, code(dns.RcodeServerFailure)), upstream(t, code(dns.RcodeNameError)), upstream(t, silent)
	for _, network := range []string{"udp", "tcp"} {
		assert.Equal(t, exchangeText(t, new(grudges), network, one, two), "one")
		assert.Equal(t, exchangeText(t, new(grudges), network, dead, two), "two")
		assert.Equal(t, exchangeText(t, new(grudges), network, failing, two), "two")
		assert.Equal(t, exchangeText(t, new(grudges), network, absent, two), "NXDOMAIN", "that is an answer")
		assert.Equal(t, exchangeText(t, new(grudges), network, dead, failing), "SERVFAIL")
		assert.Equal(t, exchangeText(t, new(grudges), network, dead), "nothing")
	}
	assert.Equal(t, exchangeWithin(t, 50*time.Millisecond, new(grudges), "udp", mute, two), "two")
	var g grudges
	assert.Equal(t, exchangeWithin(t, 50*time.Millisecond, &g, "udp", mute, two), "two")
	list := servers(2)
	g.sort(list, time.Now())
	assert.Equal(t, list[0].addr, ip("192.0.2.1"), "who does not answer is asked last next time")
	g.sort(list, time.Now().Add(2*grudge))
	g.note(ip("192.0.2.0"), time.Time{})
	list = servers(2)
	g.sort(list, time.Now())
	assert.Equal(t, list[0].addr, ip("192.0.2.0"))
}

func TestAnswersToOtherQuestionsAreNotTaken(t *testing.T) {
	var asked atomic.Int32
	liar := upstream(t, func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		forged := m.Copy()
		forged.Id++
		says("forged id")(w, forged)
		forged = m.Copy()
		forged.Question[0].Name = "other.org."
		says("forged name")(w, forged)
		w.Write([]byte("\x00\x01garbage"))
		says("true")(w, m)
	})
	assert.Equal(t, exchangeText(t, new(grudges), "udp", liar), "true")
	assert.Equal(t, asked.Load(), int32(1))
}

func TestServersAreThoseOfTheContainerElseOfTheDaemonElseOfTheHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) { assert.NilError(t, os.WriteFile(file, []byte(text), 0o644)) }
	list := func(f *Forwarder, v *View) (all []string) {
		for _, s := range f.serversFor(v) {
			text := s.addr.String()
			if s.onHost {
				text = "host:" + text
			}
			all = append(all, text)
		}
		return all
	}
	f := NewForwarder(nil, file)
	out := &View{Outside: true}
	assert.Equal(t, len(list(f, out)), 0)
	write("search x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\n")
	assert.DeepEqual(t, list(f, out), []string{"host:127.0.0.53", "192.0.2.1", "host:fe80::1%eth0", "host:2001:db8::1"})
	assert.DeepEqual(t, list(f, &View{Outside: true, IPv6: true}), []string{"host:127.0.0.53", "192.0.2.1", "host:fe80::1%eth0", "2001:db8::1"})
	write("nameserver 192.0.2.200\n")
	assert.DeepEqual(t, list(f, out), []string{"192.0.2.200"}) // the host's as they are now
	own := &View{Outside: true, Servers: []netip.Addr{ip("127.0.0.1"), ip("127.0.0.11"), ip("192.0.2.2"), ip("0.0.0.0")}}
	assert.DeepEqual(t, list(f, own), []string{"127.0.0.1", "192.0.2.2"}) // its own loopback, and not us
	assert.DeepEqual(t, list(NewForwarder([]netip.Addr{ip("127.0.0.1"), ip("192.0.2.3")}, file), out), []string{"host:127.0.0.1", "192.0.2.3"})

	// Without a way out nothing gets out.
	closed := &View{Inside: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	write("nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\n")
	assert.Equal(t, len(list(f, closed)), 0)
	closed.Servers = []netip.Addr{ip("10.1.0.5"), ip("192.0.2.2"), ip("127.0.0.1")}
	assert.DeepEqual(t, list(f, closed), []string{"10.1.0.5", "127.0.0.1"})
}

func TestLongAnswersOfOthersAreCut(t *testing.T) {
	m := new(dns.Msg).SetQuestion("web.", dns.TypeA)
	b, _ := m.Pack()
	var q query
	parse(&q, b, true)
	r := new(dns.Msg)
	assert.NilError(t, r.Unpack(fit(append(bytes.Clone(b), make([]byte, 600)...), &q)))
	assert.Check(t, r.Truncated && len(r.Answer) == 0)
	assert.Equal(t, len(fit(make([]byte, 512), &q)), 512)
}

func TestNoMoreIsUnderWayThanMayBe(t *testing.T) {
	u := make(underWay, 2)
	assert.Check(t, u.enter())
	assert.Check(t, u.enter())
	assert.Check(t, !u.enter())
	u.leave()
	assert.Check(t, u.enter())
}

func FuzzDNSQuery(f *testing.F) {
	for _, name := range []string{"web.", "www.front.", "2.0.1.10.in-addr.arpa.", "."} {
		for _, kind := range []uint16{dns.TypeA, dns.TypePTR, dns.TypeANY} {
			m := new(dns.Msg).SetQuestion(name, kind)
			b, _ := m.Pack()
			f.Add(b, true)
			m.SetEdns0(1232, true)
			b, _ = m.Pack()
			f.Add(b, false)
		}
	}
	v := testView()
	var s scratch
	f.Fuzz(func(t *testing.T, msg []byte, udp bool) {
		out, forward := v.answer(&s, msg, udp)
		if forward {
			out = failure(&s.q)
		}
		if out == nil {
			return
		}
		if len(out) < headerBytes || out[0] != msg[0] || out[1] != msg[1] || out[2]&0x80 == 0 {
			t.Fatalf("no answer to its question: %x", out)
		}
		if len(out) > s.q.limitBytes {
			t.Fatalf("%d bytes for who takes %d", len(out), s.q.limitBytes)
		}
		if err := new(dns.Msg).Unpack(out); err != nil {
			t.Fatalf("%v: %x", err, out)
		}
	})
}

func FuzzDNSAnswer(f *testing.F) {
	asked, _ := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	f.Add(asked)
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, network := range []string{"udp", "tcp"} {
			dial := func(server, string, time.Time) (io.ReadWriteCloser, error) {
				return &wire{in: bytes.NewReader(msg)}, nil
			}
			ctx, cancel := context.WithCancel(context.Background())
			out, err := ask(ctx, server{}, dial, asked, len(asked), network)
			cancel()
			if err == nil && (len(out) < headerBytes || refused(out) && out[3]&15 == 0) {
				t.Fatalf("taken for an answer: %x", out)
			}
		}
	})
}

// wire is a connection to a server that says one thing.
type wire struct{ in io.Reader }

func (w *wire) Read(b []byte) (int, error)  { return w.in.Read(b) }
func (w *wire) Write(b []byte) (int, error) { return len(b), nil }
func (w *wire) Close() error                { return nil }

func BenchmarkAnswer(b *testing.B) {
	v := testView()
	msg, _ := new(dns.Msg).SetQuestion("web.front.", dns.TypeA).Pack()
	var s scratch
	b.ReportAllocs()
	for b.Loop() {
		v.answer(&s, msg, true)
	}
}
