package bridge

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/networkdriver"
)

// The kernel remembers where it sends the packets of a flow, and does not look at the rules again. With
// UDP nobody ends a flow: a client that goes on would reach the former container of a port, or nobody,
// for as long as it goes on.

// flows is a filter of the kernel's table of connections.
type flows func(*netlink.ConntrackFlow) bool

// MatchConntrackFlow tells whether a flow is to be forgotten.
func (f flows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool { return f(flow) }

// published forgets the UDP flows to ports that are an endpoint's from now on, and went elsewhere.
func (d *Driver) published(e networkdriver.Endpoint, ports []networkdriver.Port) {
	d.stale.keep(e)
	udp := slices.DeleteFunc(slices.Clone(ports), func(p networkdriver.Port) bool { return p.Proto != "udp" || p.HostPort == 0 })
	if len(udp) == 0 {
		return
	}
	d.stale.add(e, breath, func(f *netlink.ConntrackFlow) bool {
		if f.Forward.Protocol != unix.IPPROTO_UDP {
			return false
		}
		if to := address(f.Reverse.SrcIP); to == e.Address.Addr() || to == e.AddressIPv6.Addr() {
			return false
		}
		to := address(f.Forward.DstIP)
		return slices.ContainsFunc(udp, func(p networkdriver.Port) bool {
			return f.Forward.DstPort >= p.HostPort && f.Forward.DstPort-p.HostPort < p.Count &&
				to.Is6() == p.HostIP.Is6() && (p.HostIP.IsUnspecified() || p.HostIP == to)
		})
	})
}

// withdrawn forgets the flows that were translated to an endpoint that had published ports.
func (d *Driver) withdrawn(ep *endpoint) {
	if len(ep.ports) == 0 {
		return
	}
	e := ep.Endpoint
	d.stale.add(e, lull, func(f *netlink.ConntrackFlow) bool {
		from := address(f.Reverse.SrcIP)
		return (from == e.Address.Addr() || from == e.AddressIPv6.Addr()) && address(f.Forward.DstIP) != from
	})
}

// lull is how long what is not urgent may wait for more of its kind: looking through the kernel's table
// takes it some 15 ms, also when the table is empty.
const lull = time.Second

// breath keeps it out of the way of the start that it belongs to.
const breath = 30 * time.Millisecond

// stale is what is to be forgotten, by a goroutine that nobody waits for.
type stale struct {
	conntrack *netlink.Handle // a socket of its own: what it is asked takes long
	failed    func(error)

	mu      sync.Mutex
	wanted  []wanted
	at      time.Time // when the next look is due; zero: none is
	timer   *time.Timer
	looking sync.Mutex
}

type wanted struct {
	endpoint string
	addrs    [2]netip.Addr
	flows
}

func (s *stale) add(e networkdriver.Endpoint, after time.Duration, which flows) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = append(s.wanted, wanted{e.ID, [2]netip.Addr{e.Address.Addr(), e.AddressIPv6.Addr()}, which})
	at := time.Now().Add(after)
	if !s.at.IsZero() && s.at.Before(at) {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.at, s.timer = at, time.AfterFunc(after, s.look)
}

// keep takes back what was wanted for the addresses of an endpoint: they are in use again.
func (s *stale) keep(e networkdriver.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = slices.DeleteFunc(s.wanted, func(w wanted) bool {
		return w.endpoint != e.ID && slices.ContainsFunc(w.addrs[:], func(a netip.Addr) bool {
			return a.IsValid() && (a == e.Address.Addr() || a == e.AddressIPv6.Addr())
		})
	})
}

// look goes through the table. What can not be removed ends by itself.
func (s *stale) look() {
	s.looking.Lock()
	defer s.looking.Unlock()
	s.mu.Lock()
	list := s.wanted
	s.wanted, s.at = nil, time.Time{}
	s.mu.Unlock()
	if len(list) == 0 {
		return
	}
	all := flows(func(f *netlink.ConntrackFlow) bool {
		return slices.ContainsFunc(list, func(w wanted) bool { return w.flows(f) })
	})
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if _, err := s.conntrack.ConntrackDeleteFilters(netlink.ConntrackTable, family, all); err != nil {
			s.failed(err)
		}
	}
}

func (s *stale) close() {
	s.mu.Lock()
	s.wanted = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.looking.Lock() // what is looked through is looked through to its end
	defer s.looking.Unlock()
	s.conntrack.Close()
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
