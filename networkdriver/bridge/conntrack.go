package bridge

import (
	"net"
	"net/netip"
	"slices"

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
	udp := slices.DeleteFunc(slices.Clone(ports), func(p networkdriver.Port) bool { return p.Proto != "udp" || p.HostPort == 0 })
	if len(udp) == 0 {
		return
	}
	d.forget(func(f *netlink.ConntrackFlow) bool {
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

// withdrawn forgets, a little later, the flows that were translated to an endpoint that had published ports.
func (d *Driver) withdrawn(ep *endpoint) {
	if len(ep.ports) == 0 {
		return
	}
	e := ep.Endpoint
	go d.forget(func(f *netlink.ConntrackFlow) bool {
		from := address(f.Reverse.SrcIP)
		return (from == e.Address.Addr() || from == e.AddressIPv6.Addr()) && address(f.Forward.DstIP) != from
	})
}

// forget removes flows. It needs no answer: what can not be removed ends by itself.
func (d *Driver) forget(which flows) {
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if _, err := d.conntrack.ConntrackDeleteFilters(netlink.ConntrackTable, family, which); err != nil && d.cfg.Log != nil {
			d.cfg.Log.Debugf("bridge networks: connections of withdrawn ports: %v", err)
		}
	}
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
