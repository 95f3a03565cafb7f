package forward

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// idle is how long a UDP flow lives without a packet, and most how many there are.
const (
	idle = 90 * time.Second
	most = 4096
)

type flowKey struct {
	client netip.AddrPort
	local  netip.Addr // to which the firewall redirected it
}

// A flow is what one client sends to one port, and what is answered.
type flow struct {
	key    flowKey
	target netip.AddrPort
	conn   *net.UDPConn // to the container
	last   atomic.Int64 // when something was sent, in nanoseconds
}

// tellDestinations makes the kernel say to which of the host's addresses a packet came: the
// answer has to come from there.
func tellDestinations(c *net.UDPConn, v6 bool) error {
	return control(c, func(fd int) error {
		if v6 {
			return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1)
	})
}

func (r *Relay) receive(c *net.UDPConn) {
	buf, oob := make([]byte, 65536), make([]byte, 128)
	for {
		n, oobn, _, client, err := c.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // an error that the network reported for one client
			continue
		}
		key := flowKey{netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), destination(oob[:oobn])}
		if f := r.flow(c, key); f != nil {
			f.last.Store(time.Now().UnixNano())
			_, _ = f.conn.Write(buf[:n])
		}
	}
}

// flow finds the flow of a packet, or begins one; nil if its port is nobody's.
func (r *Relay) flow(c *net.UDPConn, key flowKey) *flow {
	r.mu.Lock()
	f, room, port := r.flows[key], len(r.flows) < most && !r.closed, r.port
	r.mu.Unlock()
	if f != nil || !room || !key.local.IsValid() {
		return f
	}
	to, err := redirectedFrom(key.client, netip.AddrPortFrom(key.local, port))
	if err != nil {
		return nil
	}
	target, known := r.lookup("udp", to)
	if !known {
		return nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return nil
	}
	f = &flow{key: key, target: target, conn: conn}
	f.last.Store(time.Now().UnixNano())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows[key] = f
	go r.answers(c, f)
	return f
}

// answers carries what comes back, until the flow has been idle for long.
func (r *Relay) answers(c *net.UDPConn, f *flow) {
	defer func() {
		f.conn.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.flows, f.key)
	}()
	buf, oob := make([]byte, 65536), from(f.key.local)
	for {
		_ = f.conn.SetReadDeadline(time.Now().Add(idle))
		n, err := f.conn.Read(buf)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && time.Since(time.Unix(0, f.last.Load())) < idle {
			continue // it still sends
		}
		if err != nil {
			return
		}
		if _, _, err := c.WriteMsgUDPAddrPort(buf[:n], oob, f.key.client); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// destination reads the control message of a packet.
func destination(oob []byte) netip.Addr {
	messages, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(m.Data[:16]))
		case m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(m.Data[8:12])) // after the interface and the local address
		}
	}
	return netip.Addr{}
}

// from is the control message that sends a packet from an address.
func from(a netip.Addr) []byte {
	level, kind, data := unix.SOL_IP, unix.IP_PKTINFO, make([]byte, unix.SizeofInet4Pktinfo)
	if a.Is6() {
		level, kind, data = unix.SOL_IPV6, unix.IPV6_PKTINFO, make([]byte, unix.SizeofInet6Pktinfo)
		copy(data, a.AsSlice())
	} else {
		copy(data[4:8], a.AsSlice())
	}
	oob := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = int32(level), int32(kind)
	h.SetLen(unix.CmsgLen(len(data)))
	copy(oob[unix.CmsgLen(0):], data)
	return oob
}
