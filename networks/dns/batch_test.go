package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/sirupsen/logrus/hooks/test"
	"gotest.tools/v3/assert"
)

// onLoopback gives a socket of 127.0.0.1.
func onLoopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	assert.NilError(t, err)
	t.Cleanup(func() { c.Close() })
	assert.NilError(t, c.SetReadBuffer(4<<20))
	assert.NilError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	return c
}

// stopped gives a server with a socket that nobody reads yet.
func stopped(t *testing.T, v *View) *Server {
	t.Helper()
	log, _ := test.NewNullLogger()
	s := &Server{f: NewForwarder(nil, "/nonexistent"), log: log, udp: onLoopback(t), forwards: make(underWay, 1)}
	s.view.Store(v)
	s.life, s.end = context.WithCancel(context.Background())
	t.Cleanup(s.end)
	return s
}

// inSocket runs f with the descriptor.
func inSocket(t *testing.T, c *net.UDPConn, f func(fd uintptr)) {
	t.Helper()
	raw, err := c.SyscallConn()
	assert.NilError(t, err)
	assert.NilError(t, raw.Control(f))
}

func TestQuestionsThatWaitAreAllAnswered(t *testing.T) {
	v := testView()
	crowd := NewZone("crowd")
	for i := range 1100 {
		crowd.Set(fmt.Sprint(i), []string{"all"}, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}))
	}
	v.Zones = append(v.Zones, ZoneView{Zone: crowd})
	s := stopped(t, v)
	// More than two batches, in which short and long answers, refusals and what gets no answer lie side by side.
	const each = 8
	type asker struct {
		conn    *net.UDPConn
		name    string
		size    uint16 // by EDNS, 0 for none
		records int
		code    int
	}
	askers := []asker{
		{name: "web.", records: 1}, {name: "all.", size: 65000, records: 1100}, {name: "elsewhere.example.", code: dns.RcodeServerFailure},
		{name: "db.", records: 1}, {name: "all.", size: 4096, records: 254},
	}
	for i := range askers {
		askers[i].conn = onLoopback(t)
	}
	for n := range each {
		for i, a := range askers {
			m := new(dns.Msg).SetQuestion(a.name, dns.TypeA)
			m.Id = uint16(100*n + i)
			if a.size > 0 {
				m.SetEdns0(a.size, false)
			}
			b, err := m.Pack()
			assert.NilError(t, err)
			for _, b := range [][]byte{b, nil, make([]byte, 5)} {
				_, err := a.conn.WriteToUDPAddrPort(b, s.udp.LocalAddr().(*net.UDPAddr).AddrPort())
				assert.NilError(t, err)
			}
		}
	}
	inSocket(t, s.udp, s.drain)
	for i, a := range askers {
		in := make([]byte, 65536)
		for n := range each {
			size, from, err := a.conn.ReadFromUDPAddrPort(in)
			assert.NilError(t, err, "%s %d", a.name, n)
			assert.Equal(t, from, s.udp.LocalAddr().(*net.UDPAddr).AddrPort())
			m := new(dns.Msg)
			assert.NilError(t, m.Unpack(in[:size]))
			assert.Equal(t, m.Id, uint16(100*n+i))
			assert.Equal(t, m.Question[0].Name, a.name)
			assert.Equal(t, len(m.Answer), a.records, a.name)
			assert.Equal(t, m.Rcode, a.code, a.name)
		}
	}
}

func TestAnAnswerThatCanNotBeSentIsTheOnlyOneLost(t *testing.T) {
	s, asker := stopped(t, testView()), onLoopback(t)
	to := asker.LocalAddr().(*net.UDPAddr).AddrPort()
	for i := range 4 {
		_, err := asker.WriteToUDPAddrPort([]byte{byte(i)}, s.udp.LocalAddr().(*net.UDPAddr).AddrPort())
		assert.NilError(t, err)
	}
	inSocket(t, s.udp, func(fd uintptr) {
		b := batches.Get().(*batch)
		n, errno := b.receive(fd)
		assert.Check(t, n == 4 && errno == 0, "%d, %v", n, errno)
		for i := range n {
			assert.Check(t, b.from(i) == to && slices.Equal(b.message(i), []byte{byte(i)}), "%d: %s %x", i, b.from(i), b.message(i))
		}
		b.inFrom[0].Port, b.inFrom[2].Port = 0, 0 // to which nothing can be sent
		for i := range n {
			b.reply(fd, i, []byte{byte(10 + i)})
		}
		b.send(fd)
	})
	for _, want := range []byte{11, 13} {
		in := make([]byte, 9)
		n, _, err := asker.ReadFromUDPAddrPort(in)
		assert.NilError(t, err)
		assert.DeepEqual(t, in[:n], []byte{want})
	}
}

func TestAPanicOverOneQuestionLeavesTheOthers(t *testing.T) {
	v := testView()
	v.Zones = append(v.Zones, ZoneView{}) // without a zone: a name that is asked of it is too much
	s, asker := stopped(t, v), onLoopback(t)
	for _, name := range []string{"web.", "unknown.", "db."} {
		b, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
		assert.NilError(t, err)
		_, err = asker.WriteToUDPAddrPort(b, s.udp.LocalAddr().(*net.UDPAddr).AddrPort())
		assert.NilError(t, err)
	}
	inSocket(t, s.udp, s.drain)
	for _, want := range []string{"web.", "db."} {
		in := make([]byte, 512)
		n, _, err := asker.ReadFromUDPAddrPort(in)
		assert.NilError(t, err)
		m := new(dns.Msg)
		assert.NilError(t, m.Unpack(in[:n]))
		assert.Equal(t, m.Question[0].Name, want)
	}
}
