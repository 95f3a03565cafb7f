package dns

import (
	"net/netip"
	"strings"
	"sync"
)

// A Zone holds the names of one network.
type Zone struct {
	name  string // of the network
	lower string

	mu      sync.RWMutex
	entries map[string]*entry   // by id
	names   map[string][]*entry // in lower case
	addrs   map[netip.Addr]*entry
}

type entry struct {
	id    string
	names []string // the first one is that for reverse lookups
	addrs []netip.Addr
}

// NewZone makes the empty zone of a network.
func NewZone(network string) *Zone {
	return &Zone{
		name: network, lower: strings.ToLower(network),
		entries: map[string]*entry{}, names: map[string][]*entry{}, addrs: map[netip.Addr]*entry{},
	}
}

// Set gives an endpoint its names and addresses, in the place of those it had. Invalid addresses are left out.
func (z *Zone) Set(id string, names []string, addrs ...netip.Addr) {
	e := &entry{id: id, names: names}
	for _, a := range addrs {
		if a.IsValid() {
			e.addrs = append(e.addrs, a)
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.remove(id)
	z.entries[id] = e
	for _, n := range names {
		key := strings.ToLower(n)
		if list := z.names[key]; key != "" && (len(list) == 0 || list[len(list)-1] != e) {
			z.names[key] = append(list, e)
		}
	}
	for _, a := range e.addrs {
		z.addrs[a] = e
	}
}

// Remove forgets an endpoint. An absent one is no error.
func (z *Zone) Remove(id string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.remove(id)
}

func (z *Zone) remove(id string) {
	e := z.entries[id]
	if e == nil {
		return
	}
	delete(z.entries, id)
	for _, n := range e.names {
		key := strings.ToLower(n)
		var rest []*entry // not in place: nobody reads it now, but a queue of one would keep the others
		for _, o := range z.names[key] {
			if o != e {
				rest = append(rest, o)
			}
		}
		if z.names[key] = rest; len(rest) == 0 {
			delete(z.names, key)
		}
	}
	for _, a := range e.addrs {
		if z.addrs[a] == e {
			delete(z.addrs, a)
		}
	}
}

// find appends the addresses of a name, of one family or, with both, of both.
func (z *Zone) find(to []netip.Addr, name []byte, kind uint16) (_ []netip.Addr, known bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	list := z.names[string(name)]
	for _, e := range list {
		for _, a := range e.addrs {
			if kind == typeANY || kind == typeA && a.Is4() || kind == typeAAAA && a.Is6() {
				to = append(to, a)
			}
		}
	}
	return to, len(list) > 0
}

// nameOf appends, as labels, the name of who has an address.
func (z *Zone) nameOf(to []byte, a netip.Addr) ([]byte, bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	e := z.addrs[a]
	if e == nil {
		return to, false
	}
	// Not every name of a container is one that DNS can say.
	for _, n := range e.names {
		if b, ok := appendName(to, n+"."+z.name); ok {
			return b, true
		}
	}
	return to, false
}
