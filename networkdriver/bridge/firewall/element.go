package firewall

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// An Element is a member of one of the table's sets. Key and End are the first
// and the last value of an interval; End is nil in sets without intervals.
type Element struct {
	set           string
	key, end, val string
}

func v(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// last gives the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func ifname(name string) string {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return string(b)
}

// pad fills a part of a concatenated key up to four bytes.
func pad(b []byte) string {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return string(b)
}

func addr(a netip.Addr) string { return string(a.AsSlice()) }

func port(p uint16) string { return pad(binary.BigEndian.AppendUint16(nil, p)) }

func proto(name string) string {
	n := byte(unix.IPPROTO_TCP)
	switch name {
	case "udp":
		n = unix.IPPROTO_UDP
	case "sctp":
		n = unix.IPPROTO_SCTP
	}
	return pad([]byte{n})
}

// Bridge makes an interface one of ours. Endpoints of a bridge that are apart do not reach each other by way of the host.
func Bridge(name string, apart bool) []Element {
	set := "within"
	if apart {
		set = "apart"
	}
	return []Element{{set: "bridges", key: ifname(name)}, {set: set, key: ifname(name) + ifname(name)}}
}

// Linked opens count ports of an IPv4 address, from first on, to another one of a bridge whose endpoints are apart.
func Linked(from, to netip.Addr, proto_ string, first, count uint16) Element {
	key := addr(from) + addr(to) + proto(proto_)
	return Element{set: "linked4", key: key + port(first), end: key + port(first+count-1)}
}

// Internal keeps what comes from a bridge, or goes to it, from leaving the host.
func Internal(name string) Element { return Element{set: "internal", key: ifname(name)} }

func subnet(set string, p netip.Prefix) Element {
	return Element{set: set + v(p.Addr()), key: addr(p.Masked().Addr()), end: addr(last(p))}
}

// Guarded drops what is routed to a subnet from outside, without a published port.
func Guarded(p netip.Prefix) Element { return subnet("guarded", p) }

// Masquerade gives what leaves a subnet the address of the host.
func Masquerade(p netip.Prefix) Element { return subnet("masq", p) }

// Hairpin lets endpoints of a bridge reach each other by published ports.
func Hairpin(bridge string, p netip.Prefix) Element {
	e := subnet("hairpin", p)
	e.key, e.end = ifname(bridge)+e.key, ifname(bridge)+e.end
	return e
}

// Relayed sends count ports of the host, from hostPort on, to the engine's relay, a listener on the host.
func Relayed(proto_ string, host netip.Addr, hostPort, count, relay uint16) Element {
	from, until := host, host
	if host.IsUnspecified() {
		until = last(netip.PrefixFrom(host, 0))
	}
	return Element{
		set: "relayed" + v(host), val: port(relay)[:2], // alone it is not filled up
		key: addr(from) + proto(proto_) + port(hostPort), end: addr(until) + proto(proto_) + port(hostPort+count-1),
	}
}

// Relay keeps others than the host itself from reaching the relay but by published ports.
func Relay(relay uint16) []Element {
	return []Element{{set: "relays", key: proto("tcp") + port(relay)}, {set: "relays", key: proto("udp") + port(relay)}}
}

// Open lets in what is routed to count ports of an address, from first on.
func Open(proto_ string, a netip.Addr, first, count uint16) Element {
	return Element{set: "open" + v(a), key: addr(a) + proto(proto_) + port(first), end: addr(a) + proto(proto_) + port(first+count-1)}
}

// Trusted lets what an interface of the host routes to a subnet come as far as OpenFrom decides.
func Trusted(name string, p netip.Prefix) Element {
	e := subnet("trusted", p)
	e.key, e.end = ifname(name)+e.key, ifname(name)+e.end
	return e
}

// OpenFrom is Open for what comes by one interface of the host.
func OpenFrom(name, proto_ string, a netip.Addr, first, count uint16) Element {
	e := Open(proto_, a, first, count)
	return Element{set: "direct" + v(a), key: ifname(name) + e.key, end: ifname(name) + e.end}
}

// OpenToAll lets in everything that is routed to a subnet.
func OpenToAll(p netip.Prefix) Element {
	return Element{
		set: "open" + v(p.Addr()),
		key: addr(p.Masked().Addr()) + pad([]byte{0}) + port(0), end: addr(last(p)) + pad([]byte{255}) + port(65535),
	}
}

// OpenToPings lets pings and their like in that are routed to a subnet.
func OpenToPings(p netip.Prefix) Element {
	n := byte(unix.IPPROTO_ICMP)
	if p.Addr().Is6() {
		n = unix.IPPROTO_ICMPV6
	}
	return Element{
		set: "open" + v(p.Addr()),
		key: addr(p.Masked().Addr()) + pad([]byte{n}) + port(0), end: addr(last(p)) + pad([]byte{n}) + port(65535),
	}
}

// Published sends count ports of the host, from hostPort on, to those of an endpoint.
// An unspecified host address stands for all of its family.
func Published(proto_ string, host netip.Addr, hostPort uint16, to netip.Addr, toPort, count uint16) []Element {
	from, until := host, host
	if host.IsUnspecified() {
		until = last(netip.PrefixFrom(host, 0))
	}
	key := func(a netip.Addr, p uint16) string { return addr(a) + proto(proto_) + port(p) }
	if hostPort == toPort {
		return []Element{{
			set: "ranges" + v(to), key: key(from, hostPort), end: key(until, hostPort+count-1), val: addr(to),
		}}
	}
	elements := make([]Element, 0, count)
	for i := range count {
		elements = append(elements, Element{
			set: "ports" + v(to), key: key(from, hostPort+i), end: key(until, hostPort+i), val: addr(to) + port(toPort+i),
		})
	}
	return elements
}
