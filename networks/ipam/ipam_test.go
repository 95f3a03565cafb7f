package ipam

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
	"gotest.tools/v3/assert"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

func TestSubnetsAreChosenBesideWhatIsTaken(t *testing.T) {
	for _, c := range []struct {
		taken []string
		want  string
	}{
		{nil, "172.17.0.0/16"},
		{[]string{"172.17.0.0/16"}, "172.18.0.0/16"},
		{[]string{"172.17.5.0/24", "172.18.0.1/32"}, "172.19.0.0/16"},
		{[]string{"172.16.0.0/12"}, "192.168.0.0/20"},
		{[]string{"172.16.0.0/12", "192.168.0.0/18"}, "192.168.64.0/20"},
		{[]string{"0.0.0.0/0"}, "172.17.0.0/16"},
	} {
		var taken []netip.Prefix
		for _, p := range c.taken {
			taken = append(taken, prefix(p))
		}
		got, err := Choose(DefaultPools(), false, taken)
		assert.NilError(t, err)
		assert.Equal(t, got, prefix(c.want), "%v", c.taken)
	}
	_, err := Choose(DefaultPools(), false, []netip.Prefix{prefix("172.16.0.0/12"), prefix("192.168.0.0/16")})
	assert.ErrorIs(t, err, ErrNoPool)
	_, err = Choose(DefaultPools(), true, nil)
	assert.ErrorIs(t, err, ErrNoPool)
	got, err := Choose([]Pool{{prefix("fd00::/48"), 64}}, true, []netip.Prefix{prefix("fd00::/64")})
	assert.NilError(t, err)
	assert.Equal(t, got, prefix("fd00:0:0:1::/64"))
}

func TestAddressesAreGivenInTurnAndNotReusedAtOnce(t *testing.T) {
	s := NewSpace(prefix("10.0.0.0/29"), netip.Prefix{})
	assert.NilError(t, s.Take(addr("10.0.0.1")))
	var got []netip.Addr
	for range 5 {
		a, err := s.Next()
		assert.NilError(t, err)
		got = append(got, a)
	}
	assert.DeepEqual(t, got, []netip.Addr{addr("10.0.0.2"), addr("10.0.0.3"), addr("10.0.0.4"), addr("10.0.0.5"), addr("10.0.0.6")}, cmpopts.EquateComparable(netip.Addr{}))
	_, err := s.Next()
	assert.ErrorIs(t, err, ErrExhausted)
	s.Free(addr("10.0.0.3"))
	s.Free(addr("10.0.0.2"))
	a, err := s.Next()
	assert.NilError(t, err)
	assert.Equal(t, a, addr("10.0.0.2"))
	s.Free(a)
	a, err = s.Next()
	assert.NilError(t, err)
	assert.Equal(t, a, addr("10.0.0.3"), "the address that was freed last comes last")
}

func TestARangeLimitsWhatIsGivenAndNotWhatIsTaken(t *testing.T) {
	s := NewSpace(prefix("10.0.0.0/16"), prefix("10.0.5.0/30"))
	seen := map[netip.Addr]bool{}
	for range 4 {
		a, err := s.Next()
		assert.NilError(t, err)
		assert.Check(t, prefix("10.0.5.0/30").Contains(a) && !seen[a])
		seen[a] = true
	}
	_, err := s.Next()
	assert.ErrorIs(t, err, ErrExhausted)
	assert.NilError(t, s.Take(addr("10.0.9.9")))
	assert.ErrorIs(t, s.Take(addr("10.0.9.9")), ErrInUse)
}

func TestAddressesThatCannotBeTaken(t *testing.T) {
	s := NewSpace(prefix("10.0.0.7/24"), netip.Prefix{})
	for _, a := range []string{"10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"} {
		assert.Check(t, errors.Is(s.Take(addr(a)), ErrOutside), a)
	}
	pair := NewSpace(prefix("10.0.0.0/31"), netip.Prefix{})
	assert.NilError(t, pair.Take(addr("10.0.0.0")))
	v6 := NewSpace(prefix("fd00::/64"), netip.Prefix{})
	a, err := v6.Next()
	assert.NilError(t, err)
	assert.Equal(t, a, addr("fd00::1"))
}
