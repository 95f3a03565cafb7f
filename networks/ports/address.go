package ports

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// hostHas tells whether a program of the host could listen at an address: a rule for one that is
// not there would be as good as none. The kernel is asked by a socket with a port of its choice.
func hostHas(a netip.Addr) error {
	if a.IsUnspecified() || a.IsLoopback() {
		return nil
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return unix.EADDRNOTAVAIL
	}
	if err == nil { // else it is about something else, such as too many open files
		conn.Close()
	}
	return nil
}
