package dns

import (
	"bytes"
	"net/netip"
)

// A View is what one container may ask. It is not changed.
type View struct {
	Zones []ZoneView // of its networks; the first that knows a name answers
	// Servers are asked what no zone knows, in the container's namespace; nil: those of the daemon or
	// the host.
	Servers []netip.Addr
	// Outside: a network of the container has a way out. Without it only Servers in Inside are asked.
	Outside bool
	Inside  []netip.Prefix // the subnets of its networks
	IPv6    bool           // Outside is true for IPv6 too
}

// ZoneView is a network from the side of one container.
type ZoneView struct {
	*Zone
	Links map[string]string // alias, in lower case → name, in lower case
}

var localhost = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// find appends the addresses of a name.
func (v *View) find(to []netip.Addr, name []byte, kind uint16) (_ []netip.Addr, known bool) {
	// It is nobody else's, whatever somebody calls a container (RFC 6761).
	if string(name) == "localhost" || hasSuffix(name, ".localhost") {
		for _, a := range localhost {
			if kind == typeANY || kind == typeA && a.Is4() || kind == typeAAAA && a.Is6() {
				to = append(to, a)
			}
		}
		return to, true
	}
	for i := range v.Zones {
		var k bool
		if to, k = v.Zones[i].find(to, name, kind); k {
			known = true
			if len(to) > 0 {
				return to, true
			}
		}
	}
	if known {
		return to, true
	}
	// NAME.NETWORK
	dot := bytes.LastIndexByte(name, '.')
	if dot <= 0 {
		return to, false
	}
	for i := range v.Zones {
		if string(name[dot+1:]) == v.Zones[i].lower {
			return v.Zones[i].find(to, name[:dot], kind)
		}
	}
	return to, false
}

func (z *ZoneView) find(to []netip.Addr, name []byte, kind uint16) ([]netip.Addr, bool) {
	if len(z.Links) > 0 {
		if target, ok := z.Links[string(name)]; ok {
			if to, known := z.Zone.find(to, []byte(target), kind); known {
				return to, true
			}
		}
	}
	return z.Zone.find(to, name, kind)
}

// scratch is what a reader of queries uses again and again.
type scratch struct {
	q     query
	addrs []netip.Addr
	name  []byte
	out   []byte
	turn  uint // of rotation
}

// answer gives the reply to a message, valid until the next one; nil for what gets no reply. With
// forward the question is for others, and s.q holds it.
func (v *View) answer(s *scratch, msg []byte, udp bool) (out []byte, forward bool) {
	defer func() {
		if out != nil {
			s.out = out[:0]
		}
	}()
	q := &s.q
	code, reply := parse(q, msg, udp)
	switch {
	case !reply:
		return nil, false
	case code != codeOK:
		return begin(s.out, q).done(code), false
	case q.class != classIN, q.kind == typeAXFR, q.kind == typeIXFR:
		return begin(s.out, q).done(codeRefused), false
	case q.odd:
		return nil, true
	}
	if q.kind == typePTR {
		if a, ok := reverse(q.text()); ok {
			return v.pointer(s, a)
		}
	}
	var known bool
	if s.addrs, known = v.find(s.addrs[:0], q.text(), q.kind); !known {
		return nil, true
	}
	r := begin(s.out, q)
	// Whoever takes the first one takes another each time.
	s.turn++
	for i := range s.addrs {
		r.addr(s.addrs[(uint(i)+s.turn)%uint(len(s.addrs))])
	}
	return r.done(codeOK), false
}

func (v *View) pointer(s *scratch, a netip.Addr) ([]byte, bool) {
	for i := range v.Zones {
		if name, ok := v.Zones[i].nameOf(s.name[:0], a); ok {
			s.name = name
			r := begin(s.out, &s.q)
			r.record(typePTR, name)
			return r.done(codeOK), false
		}
	}
	return nil, true
}

// failure is the answer to a question that nobody has answered.
func failure(q *query) []byte { return begin(nil, q).done(codeFailure) }
