package ipam

import (
	"math"
	"net/netip"
)

// Count tells how many addresses of the subnet can not be had, those included that nobody can have, and
// how many Next could still give. Both end at 2^64 - 1.
func (s *Space) Count() (inUse, available uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inUse = uint64(len(s.taken))
	lost := uint64(0) // of what Next gives
	for a := range s.taken {
		if s.from.Contains(a) {
			lost++
		}
	}
	ends := []netip.Addr{s.Subnet.Addr()}
	if last := Last(s.Subnet); last != s.Subnet.Addr() {
		ends = append(ends, last)
	}
	for _, a := range ends {
		if s.usable(a) {
			continue
		}
		inUse++
		if s.from.Contains(a) {
			lost++
		}
	}
	return inUse, size(s.from) - lost
}

func size(p netip.Prefix) uint64 {
	bits := p.Addr().BitLen() - p.Bits()
	if bits >= 64 {
		return math.MaxUint64
	}
	return 1 << bits
}
