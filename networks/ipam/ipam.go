// Package ipam chooses subnets and addresses.
//
// Nothing of it is on disk: the subnets stand in the records of networks, the
// addresses in those of running endpoints, and both are taken again (Take) at start.
package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// The errors, with docker's texts.
var (
	ErrInUse     = errors.New("Address already in use")
	ErrExhausted = errors.New("no available addresses")
	ErrOutside   = errors.New("no configured subnet or ip-range contain the IP address")
	ErrNoPool    = errors.New("all predefined address pools have been fully subnetted")
)

// Pool is a range that is divided into subnets of Size bits.
type Pool struct {
	Base netip.Prefix
	Size int
}

// DefaultPools are docker's, for local networks.
func DefaultPools() []Pool {
	var pools []Pool
	for second := range byte(15) {
		pools = append(pools, Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17 + second}), 16), 16})
	}
	return append(pools, Pool{netip.MustParsePrefix("192.168.0.0/16"), 20})
}

// Choose gives the first subnet of pools that overlaps with none of taken. v6
// says which family is wanted.
func Choose(pools []Pool, v6 bool, taken []netip.Prefix) (netip.Prefix, error) {
	for _, pool := range pools {
		if pool.Base.Addr().Is6() != v6 {
			continue
		}
		for p, ok := netip.PrefixFrom(pool.Base.Masked().Addr(), pool.Size), true; ok && pool.Base.Overlaps(p); p, ok = next(p) {
			if clash := overlapping(p, taken); !clash.IsValid() {
				return p, nil
			} else if clash.Bits() < p.Bits() && clash.Contains(pool.Base.Addr()) && clash.Bits() <= pool.Base.Bits() {
				break // all of the pool is taken
			}
		}
	}
	return netip.Prefix{}, ErrNoPool
}

func overlapping(p netip.Prefix, taken []netip.Prefix) netip.Prefix {
	for _, t := range taken {
		if t.Bits() > 0 && t.Overlaps(p) {
			return t
		}
	}
	return netip.Prefix{}
}

// next gives the prefix of the same length after p; false at the end of the address space.
func next(p netip.Prefix) (netip.Prefix, bool) {
	b := p.Addr().AsSlice()
	bit := p.Bits() - 1
	if bit < 0 {
		return p, false
	}
	for i, add := bit/8, byte(1<<(7-bit%8)); i >= 0; i, add = i-1, 1 {
		if b[i] += add; b[i] >= add {
			a, _ := netip.AddrFromSlice(b)
			return netip.PrefixFrom(a, p.Bits()), true
		}
	}
	return p, false
}

// Last gives the last address of a prefix: IPv4's broadcast address.
func Last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Space is the addresses of one subnet. It is safe for concurrent use.
type Space struct {
	Subnet netip.Prefix // masked
	from   netip.Prefix // what Next gives: the subnet or a range in it

	mu     sync.Mutex
	taken  map[netip.Addr]bool
	cursor netip.Addr // given last: what is freed is not given again at once
}

// NewSpace makes the space of a subnet; with a valid ipRange Next gives addresses of it only.
func NewSpace(subnet, ipRange netip.Prefix) *Space {
	s := &Space{Subnet: subnet.Masked(), from: subnet.Masked(), taken: map[netip.Addr]bool{}}
	if ipRange.IsValid() {
		s.from = ipRange.Masked()
	}
	return s
}

// Take reserves an address. ErrInUse, ErrOutside.
func (s *Space) Take(a netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.usable(a):
		return fmt.Errorf("%w %s", ErrOutside, a)
	case s.taken[a]:
		return ErrInUse
	}
	s.taken[a] = true
	return nil
}

// usable: not the subnet's own address, nor IPv4's broadcast, but both of a pair (RFC 3021).
func (s *Space) usable(a netip.Addr) bool {
	if !s.Subnet.Contains(a) {
		return false
	}
	if s.Subnet.Addr().BitLen()-s.Subnet.Bits() < 2 {
		return true
	}
	return a != s.Subnet.Addr() && (a.Is6() || a != Last(s.Subnet))
}

// Next reserves the next free address after the one that was given last. ErrExhausted.
func (s *Space) Next() (netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.cursor
	if !a.IsValid() {
		a = s.from.Addr().Prev() // invalid before the first of all addresses
	}
	// Each address that is taken is met at most once before the walk comes around.
	for range len(s.taken) + 4 {
		if a = a.Next(); !a.IsValid() || !s.from.Contains(a) {
			a = s.from.Addr()
		}
		if s.usable(a) && !s.taken[a] {
			s.taken[a], s.cursor = true, a
			return a, nil
		}
	}
	return netip.Addr{}, ErrExhausted
}

// Last is what Next gave last; invalid if it gave nothing yet.
func (s *Space) Last() netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor
}

// GoOn lets Next go on after an address of the subnet, as if it had given that last. Another one means nothing.
func (s *Space) GoOn(last netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from.Contains(last) {
		s.cursor = last
	}
}

// Free gives an address back. One that was not taken is no error.
func (s *Space) Free(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, a)
}
