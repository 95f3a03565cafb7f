package forward

import (
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of ctnetlink, linux/netfilter/nfnetlink_conntrack.h.
const (
	ctGet        = 1 // IPCTNL_MSG_CT_GET
	tupleOrig    = 1
	tupleReply   = 2
	tupleIP      = 1
	tupleProto   = 2
	ipv4Src      = 1
	ipv4Dst      = 2
	ipv6Src      = 3
	ipv6Dst      = 4
	protoNum     = 1
	protoSrcPort = 2
	protoDstPort = 3
)

// redirectedFrom asks the kernel where a client's UDP packet was sent to before the firewall
// redirected it to a local address: it has no such question of a socket, as TCP has.
func redirectedFrom(client, local netip.AddrPort) (to netip.AddrPort, err error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return to, err
	}
	defer conn.Close()
	family, src, dst := byte(unix.AF_INET), uint16(ipv4Src), uint16(ipv4Dst)
	if local.Addr().Is6() {
		family, src, dst = unix.AF_INET6, ipv6Src, ipv6Dst
	}
	e := netlink.NewAttributeEncoder()
	e.Nested(tupleReply, func(e *netlink.AttributeEncoder) error {
		e.Nested(tupleIP, func(e *netlink.AttributeEncoder) error {
			e.Bytes(src, local.Addr().AsSlice())
			e.Bytes(dst, client.Addr().AsSlice())
			return nil
		})
		e.Nested(tupleProto, func(e *netlink.AttributeEncoder) error {
			e.Uint8(protoNum, unix.IPPROTO_UDP)
			e.Bytes(protoSrcPort, []byte{byte(local.Port() >> 8), byte(local.Port())})
			e.Bytes(protoDstPort, []byte{byte(client.Port() >> 8), byte(client.Port())})
			return nil
		})
		return nil
	})
	attributes, err := e.Encode()
	if err != nil {
		return to, err
	}
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | ctGet, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
	if err != nil {
		return to, fmt.Errorf("ctnetlink: %w", err)
	}
	for _, a := range answers {
		if len(a.Data) < 4 {
			continue
		}
		if to, err = original(a.Data[4:]); err != nil || to.IsValid() {
			return to, err
		}
	}
	return to, fmt.Errorf("ctnetlink: no answer")
}

// original reads the destination of the first packet out of the attributes of a flow.
func original(attributes []byte) (to netip.AddrPort, err error) {
	d, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return to, err
	}
	var addr netip.Addr
	var port uint16
	for d.Next() {
		if d.Type() != tupleOrig {
			continue
		}
		d.Nested(func(d *netlink.AttributeDecoder) error {
			for d.Next() {
				switch d.Type() {
				case tupleIP:
					d.Nested(func(d *netlink.AttributeDecoder) error {
						for d.Next() {
							if t := d.Type(); t == ipv4Dst || t == ipv6Dst {
								addr, _ = netip.AddrFromSlice(d.Bytes())
							}
						}
						return nil
					})
				case tupleProto:
					d.Nested(func(d *netlink.AttributeDecoder) error {
						for d.Next() {
							if b := d.Bytes(); d.Type() == protoDstPort && len(b) == 2 {
								port = uint16(b[0])<<8 | uint16(b[1])
							}
						}
						return nil
					})
				}
			}
			return nil
		})
	}
	return netip.AddrPortFrom(addr, port), d.Err()
}
