package networks

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/networks/ipam"
)

// checkIPAM says what is wrong with one range of addresses.
func checkIPAM(c network.IPAMConfig, v6 bool) (bad []string) {
	if !c.Subnet.IsValid() {
		if c.Gateway.IsValid() || c.IPRange.IsValid() || len(c.AuxAddress) > 0 {
			bad = append(bad, "invalid subnet: a gateway, an ip-range or an aux-address needs a subnet")
		}
		return bad
	}
	sub := c.Subnet.String()
	if c.Subnet != c.Subnet.Masked() {
		bad = append(bad, "invalid subnet "+sub+": it should be "+c.Subnet.Masked().String())
	}
	if c.Subnet.Addr().Is6() && !v6 {
		bad = append(bad, "invalid subnet "+sub+": IPv6 has not been enabled for this network")
	}
	if r := c.IPRange; r.IsValid() {
		what := "invalid ip-range " + r.String() + ": "
		if r.Addr().Is4() != c.Subnet.Addr().Is4() {
			bad = append(bad, what+"parent subnet is an "+family(c.Subnet.Addr())+" block")
		} else {
			if r.Bits() < c.Subnet.Bits() {
				bad = append(bad, what+"CIDR block is bigger than its parent subnet "+sub)
			}
			if r != r.Masked() {
				bad = append(bad, what+"it should be "+r.Masked().String())
			}
			if !c.Subnet.Overlaps(r) {
				bad = append(bad, what+"parent subnet "+sub+" doesn't contain ip-range")
			}
		}
	}
	inside := func(what string, a netip.Addr) {
		switch {
		case !a.IsValid():
			bad = append(bad, what+"invalid address")
		case a.Is4() != c.Subnet.Addr().Is4():
			bad = append(bad, what+"parent subnet is an "+family(c.Subnet.Addr())+" block")
		case !c.Subnet.Contains(a):
			bad = append(bad, what+"parent subnet "+sub+" doesn't contain this address")
		}
	}
	if c.Gateway.IsValid() {
		inside("invalid gateway "+c.Gateway.String()+": ", c.Gateway)
	}
	for name, a := range c.AuxAddress {
		inside("invalid auxiliary address "+name+": ", a)
	}
	return bad
}

// checkAux: each address that is set aside is another one, and none is the gateway.
func (s *subnet) checkAux() error {
	taken := map[netip.Addr]bool{s.Gateway: s.Gateway.IsValid()}
	for _, name := range slices.Sorted(maps.Keys(s.Aux)) {
		if a := s.Aux[name]; taken[a] {
			return fmt.Errorf("failed to allocate secondary ip address (%s:%s): %w", name, a, ipam.ErrInUse)
		}
		taken[s.Aux[name]] = true
	}
	return nil
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// points lists sentences, each as a point if there are several.
func points(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return "* " + strings.Join(list, "\n* ")
}
