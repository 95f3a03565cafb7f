package ipam

import (
	"math"
	"net/netip"
	"testing"

	"gotest.tools/v3/assert"
)

func TestAddressesAreCounted(t *testing.T) {
	for _, c := range []struct {
		subnet, within   string
		take             []string
		inUse, available uint64
	}{
		{"10.0.0.0/24", "", nil, 2, 254},
		{"10.0.0.0/24", "", []string{"10.0.0.1", "10.0.0.77"}, 4, 252},
		{"10.0.0.0/24", "10.0.0.128/25", []string{"10.0.0.1", "10.0.0.200"}, 4, 126},
		{"10.0.0.0/31", "", []string{"10.0.0.0"}, 1, 1},
		{"10.0.0.7/32", "", nil, 0, 1},
		{"fd00::/96", "", []string{"fd00::1"}, 2, 1<<32 - 2},
		{"fd00::/64", "", nil, 1, math.MaxUint64 - 1},
		{"fd00::/48", "fd00::/120", []string{"fd00:0:0:1::1"}, 2, 255},
	} {
		var within netip.Prefix
		if c.within != "" {
			within = netip.MustParsePrefix(c.within)
		}
		s := NewSpace(netip.MustParsePrefix(c.subnet), within)
		for _, a := range c.take {
			assert.NilError(t, s.Take(netip.MustParseAddr(a)))
		}
		inUse, available := s.Count()
		assert.Equal(t, inUse, c.inUse, "%+v", c)
		assert.Equal(t, available, c.available, "%+v", c)
		if c.available < 300 {
			for range c.available {
				_, err := s.Next()
				assert.NilError(t, err)
			}
			_, err := s.Next()
			assert.ErrorIs(t, err, ErrExhausted)
			_, available = s.Count()
			assert.Equal(t, available, uint64(0))
		}
	}
}
