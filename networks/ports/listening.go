package ports

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A socket of the host that takes what comes to a port.
type socket struct {
	proto string
	addr  netip.Addr
	port  uint16
}

// States of sockets in sock_diag's bit mask: a listening TCP socket, an unconnected UDP socket.
const (
	listening   = 1 << 10 // TCP_LISTEN
	unconnected = 1 << 7  // TCP_CLOSE
)

// Request and answer of NETLINK_INET_DIAG, sock_diag(7).
const (
	requestSize  = 56 // struct inet_diag_req_v2
	byFamily     = 20 // SOCK_DIAG_BY_FAMILY
	offPort      = 4  // in struct inet_diag_msg: after family, state, timer, retransmits
	offAddr      = 8  // source address, 16 bytes
	answerAtLast = offAddr + 16
	answerSize   = 72 // attributes follow
	attrV6Only   = 11 // INET_DIAG_SKV6ONLY
)

// listeners asks the kernel for all sockets of the host that take packets or connections.
func listeners(protos map[string]bool) ([]socket, error) {
	conn, err := netlink.Dial(unix.NETLINK_INET_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	defer conn.Close()
	var all []socket
	for _, q := range []struct {
		name   string
		number byte
		states uint32
	}{{"tcp", unix.IPPROTO_TCP, listening}, {"udp", unix.IPPROTO_UDP, unconnected}} {
		if !protos[q.name] {
			continue
		}
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			request := make([]byte, requestSize)
			request[0], request[1] = family, q.number
			binary.NativeEndian.PutUint32(request[4:], q.states)
			answers, err := conn.Execute(netlink.Message{
				Header: netlink.Header{Type: byFamily, Flags: netlink.Request | netlink.Dump}, Data: request,
			})
			if err != nil {
				return nil, fmt.Errorf("sock_diag of %s: %w", q.name, err)
			}
			for _, a := range answers {
				if len(a.Data) < answerAtLast {
					continue
				}
				size := 4
				if family == unix.AF_INET6 {
					size = 16
				}
				ip, _ := netip.AddrFromSlice(a.Data[offAddr : offAddr+size])
				port := binary.BigEndian.Uint16(a.Data[offPort:])
				all = append(all, socket{q.name, ip, port})
				if family == unix.AF_INET6 && ip.IsUnspecified() && takesIPv4(a.Data) {
					all = append(all, socket{q.name, netip.IPv4Unspecified(), port})
				}
			}
		}
	}
	return all, nil
}

// takesIPv4 tells whether an answer is about a socket of [::] that was not restricted to IPv6.
func takesIPv4(answer []byte) bool {
	if len(answer) < answerSize {
		return false
	}
	attrs, err := netlink.NewAttributeDecoder(answer[answerSize:])
	if err != nil {
		return false
	}
	for attrs.Next() {
		if attrs.Type() == attrV6Only {
			return attrs.Uint8() == 0
		}
	}
	return false
}
