package networks

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks/dns"
	"github.com/jobengine/engine/networks/ipam"
)

// A Network is its record, which does not change, and who is on it.
type Network struct {
	record
	spaces []*ipam.Space // one for each subnet
	noting sync.Mutex    // of what was given last
	zone   *dns.Zone     // nil if its containers have no names on it

	// Guarded by Networks.mu:
	endpoints map[string]*Endpoint // by id
	making    bool                 // not there yet for others, but its name and subnets are taken
	removing  bool
}

func newNetwork(r *record) *Network {
	nw := &Network{record: *r, endpoints: map[string]*Endpoint{}}
	for _, s := range r.Subnets {
		space := ipam.NewSpace(s.Subnet, s.Range)
		if s.Gateway.IsValid() {
			_ = space.Take(s.Gateway)
		}
		for _, a := range s.Aux {
			_ = space.Take(a)
		}
		nw.spaces = append(nw.spaces, space)
	}
	if nw.userDefined() {
		nw.zone = dns.NewZone(nw.Name)
	}
	return nw
}

// userDefined networks have names that their containers resolve, and addresses
// that users may choose.
func (nw *Network) userDefined() bool {
	switch nw.Name {
	case "none", "host", "bridge":
		return false
	}
	return true
}

func (nw *Network) forDriver() networkdriver.Network {
	d := networkdriver.Network{
		ID: nw.ID, Name: nw.Name, Internal: nw.Internal, EnableIPv4: nw.EnableIPv4, EnableIPv6: nw.EnableIPv6, Options: nw.Options,
	}
	for _, s := range nw.Subnets {
		sub := networkdriver.Subnet{Pool: s.Subnet, Gateway: s.Gateway}
		if s.Subnet.Addr().Is4() {
			d.IPv4 = append(d.IPv4, sub)
		} else {
			d.IPv6 = append(d.IPv6, sub)
		}
	}
	return d
}

// address reserves the wanted address, or the next free one of a family. The
// result is invalid if the network has no subnet of the family.
func (nw *Network) address(v6 bool, wanted netip.Addr) (netip.Prefix, error) {
	var first error
	for i, space := range nw.spaces {
		if space.Subnet.Addr().Is6() != v6 {
			continue
		}
		a, err := wanted, error(nil)
		switch {
		case !wanted.IsValid():
			a, err = space.Next()
		case !space.Subnet.Contains(wanted):
			continue
		default:
			err = space.Take(wanted)
		}
		if err == nil {
			return netip.PrefixFrom(a, nw.Subnets[i].Subnet.Bits()), nil
		}
		if first == nil {
			first = err
		}
	}
	family := "IPv4"
	if v6 {
		family = "IPv6"
	}
	switch {
	case first == nil && !wanted.IsValid():
		return netip.Prefix{}, nil
	case first == nil:
		return netip.Prefix{}, errs.Invalid("invalid endpoint settings:\n%w %s", ipam.ErrOutside, wanted)
	case errors.Is(first, ipam.ErrExhausted):
		return netip.Prefix{}, fmt.Errorf("no available %s addresses on this network's address pools: %s (%s)", family, nw.Name, nw.ID)
	case errors.Is(first, ipam.ErrInUse):
		return netip.Prefix{}, errs.Forbidden("%w", first)
	}
	return netip.Prefix{}, errs.Invalid("invalid config for network %s: %v", nw.Name, first)
}

// take reserves an address that an endpoint has already.
func (nw *Network) take(p netip.Prefix) {
	for _, space := range nw.spaces {
		if p.IsValid() && space.Subnet.Contains(p.Addr()) {
			_ = space.Take(p.Addr())
		}
	}
}

func (nw *Network) free(p netip.Prefix) {
	for _, space := range nw.spaces {
		if p.IsValid() && space.Subnet.Contains(p.Addr()) {
			space.Free(p.Addr())
		}
	}
}
