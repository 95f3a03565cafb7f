package networkdriver

import (
	"net"
	"net/netip"
)

// MAC makes a locally administered address from an IPv4 address, or from the last four bytes of an
// IPv6 address, so that the same address has the same MAC after a restart. Nil for no address.
func MAC(a netip.Addr) net.HardwareAddr {
	if !a.IsValid() {
		return nil
	}
	b := a.AsSlice()
	return append(net.HardwareAddr{0x02, 0x42}, b[len(b)-4:]...)
}
