// Package ports hands out the ports of the host.
//
// A published port is no socket: the kernel sends what comes for it to the container. So a port
// is free if no endpoint of ours has it and nobody on the host listens on it, which one
// question to the kernel tells for any number of ports.
package ports

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/jobengine/engine/internal/errs"
)

// Want is a port that a container wants published.
type Want struct {
	Proto         string // tcp or udp
	HostIP        netip.Addr
	First, Last   uint16 // any of these ports of the host; 0 and 0: any ephemeral one
	ContainerPort uint16
	Routed        bool // the container's own address is opened, and no port of the host is needed
}

// Given is a port that it got.
type Given struct {
	Proto         string
	HostIP        netip.Addr
	HostPort      uint16 // 0: Routed
	ContainerPort uint16
}

type key struct {
	proto string
	port  uint16
}

type holder struct {
	addr  netip.Addr
	owner string
}

// Table is who has which port.
type Table struct {
	mu     sync.Mutex
	taken  map[key][]holder
	cursor uint16 // the ephemeral port given last
	low    uint16
	high   uint16
	list   func(protos map[string]bool) ([]socket, error)
	has    func(netip.Addr) error
}

// NewTable makes an empty one. Ports that the user leaves open come from the
// kernel's range of ephemeral ports, or from IANA's if that can not be read.
func NewTable() *Table {
	t := &Table{taken: map[key][]holder{}, low: 49153, high: 65535, list: listeners, has: hostHas}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var low, high uint16
		if n, _ := fmt.Sscan(string(text), &low, &high); n == 2 && low < high {
			t.low, t.high = low, high
		}
	}
	return t
}

// Reserve takes all that is wanted, or nothing. With several host addresses for one
// open port all get the same number.
func (t *Table) Reserve(owner string, wanted []Want) ([]Given, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	protos := map[string]bool{}
	for _, w := range wanted {
		protos[w.Proto] = true
		if err := t.has(w.HostIP); err != nil {
			return nil, fmt.Errorf("failed to bind host port %s/%s: %w", netip.AddrPortFrom(w.HostIP, w.First), w.Proto, err)
		}
	}
	sockets, err := t.list(protos)
	if err != nil {
		return nil, err
	}
	busy := map[key][]netip.Addr{}
	for _, s := range sockets {
		busy[key{s.proto, s.port}] = append(busy[key{s.proto, s.port}], s.addr)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	given := make([]Given, 0, len(wanted))
	for i := 0; i < len(wanted); {
		if w := wanted[i]; w.Routed {
			given = append(given, Given{w.Proto, w.HostIP, 0, w.ContainerPort})
			i++
			continue
		}
		// Bindings of the same port of the container to several addresses want the same number.
		n := 1
		for i+n < len(wanted) && !wanted[i+n].Routed && wanted[i+n].same(wanted[i]) && !wanted[i+n].clashes(wanted[i:i+n]) {
			n++
		}
		port, err := t.choose(wanted[i:i+n], busy)
		if err != nil {
			t.drop(owner, given)
			return nil, err
		}
		for _, w := range wanted[i : i+n] {
			k := key{w.Proto, port}
			t.taken[k] = append(t.taken[k], holder{w.HostIP, owner})
			given = append(given, Given{w.Proto, w.HostIP, port, w.ContainerPort})
		}
		i += n
	}
	return given, nil
}

func (w Want) same(o Want) bool {
	return w.Proto == o.Proto && w.First == o.First && w.Last == o.Last && w.ContainerPort == o.ContainerPort
}

// clashes tells whether a port can not have the number of others.
func (w Want) clashes(others []Want) bool {
	return slices.ContainsFunc(others, func(o Want) bool { return clash(o.HostIP, w.HostIP) })
}

// choose finds a port that is free at all addresses of a group.
func (t *Table) choose(group []Want, busy map[key][]netip.Addr) (uint16, error) {
	w := group[0]
	if w.First == 0 {
		for range int(t.high) - int(t.low) + 1 {
			if t.cursor++; t.cursor < t.low || t.cursor > t.high {
				t.cursor = t.low
			}
			if t.free(group, t.cursor, busy) == nil {
				return t.cursor, nil
			}
		}
		return 0, errs.Unavailable("all ports are allocated")
	}
	var first error
	for p := int(w.First); p <= int(w.Last); p++ {
		err := t.free(group, uint16(p), busy)
		if err == nil {
			return uint16(p), nil
		}
		if first == nil {
			first = err
		}
	}
	if w.First != w.Last {
		return 0, errs.Unavailable("all ports are allocated")
	}
	return 0, first
}

func (t *Table) free(group []Want, port uint16, busy map[key][]netip.Addr) error {
	for _, w := range group {
		k := key{w.Proto, port}
		for _, h := range t.taken[k] {
			if clash(h.addr, w.HostIP) {
				return fmt.Errorf("Bind for %s:%d failed: port is already allocated", hostText(w.HostIP), port)
			}
		}
		for _, a := range busy[k] {
			if clash(a, w.HostIP) {
				return fmt.Errorf("failed to bind host port %s/%s: address already in use", netip.AddrPortFrom(w.HostIP, port), w.Proto)
			}
		}
	}
	return nil
}

func hostText(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// clash tells whether two sockets could not be bound to the same port. A listener of [::] that takes
// IPv4 too is two of them.
func clash(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	if a.Is4() != b.Is4() {
		return false
	}
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// Owner gives who has what comes to a port at an address; "" if nobody has.
func (t *Table) Owner(proto string, at netip.AddrPort) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.taken[key{proto, at.Port()}] {
		if h.addr == at.Addr() || h.addr.IsUnspecified() && h.addr.Is4() == at.Addr().Is4() {
			return h.owner
		}
	}
	return ""
}

// Take notes ports that an endpoint has since before the engine was started.
func (t *Table) Take(owner string, given []Given) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range given {
		if g.HostPort == 0 {
			continue
		}
		k := key{g.Proto, g.HostPort}
		t.taken[k] = append(t.taken[k], holder{g.HostIP, owner})
	}
}

// Free gives ports back.
func (t *Table) Free(owner string, given []Given) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(owner, given)
}

func (t *Table) drop(owner string, given []Given) {
	for _, g := range given {
		k := key{g.Proto, g.HostPort}
		var rest []holder
		for _, h := range t.taken[k] {
			if h.owner != owner || h.addr != g.HostIP {
				rest = append(rest, h)
			}
		}
		if len(rest) == 0 {
			delete(t.taken, k)
		} else {
			t.taken[k] = rest
		}
	}
}

// ParseRange parses "8080", "8000-8010" or "": a single port, any of several, any at all.
func ParseRange(text string) (first, last uint16, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	if first, err = number(from); err == nil {
		last, err = number(to)
	}
	if err != nil || last < first {
		return 0, 0, errs.Invalid("invalid port specification: %q", text)
	}
	return first, last, nil
}

func number(text string) (n uint16, err error) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, errs.Invalid("not a port: %q", text)
		}
	}
	_, err = fmt.Sscan(text, &n)
	return n, err
}
