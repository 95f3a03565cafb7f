package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is how long a container may take to accept a connection.
const patience = 20 * time.Second

func (r *Relay) accept(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors, mostly: others are closed meanwhile
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go r.carry(c)
	}
}

// A pair is a connection that is carried.
type pair struct {
	target         netip.AddrPort
	client, server *net.TCPConn
}

func (p *pair) end() {
	// Without a reset a client would take what it has for all there was.
	_ = p.client.SetLinger(0)
	p.client.Close()
	if p.server != nil {
		p.server.Close()
	}
}

func (r *Relay) carry(client *net.TCPConn) {
	p := &pair{client: client}
	to, err := originalDestination(client)
	known := false
	if err == nil {
		p.target, known = r.lookup("tcp", to)
	}
	if !known || to == addrPort(client.LocalAddr()) { // whoever asks for the relay itself gets nothing
		p.end()
		return
	}
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.pairs[p] = struct{}{}
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.pairs, p)
		r.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target.String())
	cancel()
	if closed || err != nil {
		p.end() // as if nobody listened there
		if err == nil {
			server.Close()
		}
		return
	}
	r.mu.Lock()
	p.server = server.(*net.TCPConn)
	r.mu.Unlock()
	defer client.Close()
	defer server.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		half(client, p.server)
	}()
	half(p.server, client)
	<-back
}

// half carries one direction until its end, and hands the end on.
func half(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		to.Close()
		_ = from.SetLinger(0)
		from.Close()
		return
	}
	_ = to.CloseWrite()
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	return netip.AddrPort{}
}

// soOriginalDst is SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST of the kernel's netfilter headers.
const soOriginalDst = 80

// originalDestination is where a client connected to before the firewall redirected it.
func originalDestination(c *net.TCPConn) (to netip.AddrPort, err error) {
	v6 := addrPort(c.LocalAddr()).Addr().Is6()
	err = control(c, func(fd int) error {
		// struct sockaddr_in or sockaddr_in6: family, port, and the address after 2 or 6 further bytes.
		var buf [unix.SizeofSockaddrInet6]byte
		level, size, at, bytes := unix.SOL_IP, uint32(unix.SizeofSockaddrInet4), 4, 4
		if v6 {
			level, size, at, bytes = unix.SOL_IPV6, unix.SizeofSockaddrInet6, 8, 16
		}
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), soOriginalDst,
			uintptr(unsafe.Pointer(&buf)), uintptr(unsafe.Pointer(&size)), 0)
		if e != 0 {
			return os.NewSyscallError("getsockopt", e)
		}
		a, _ := netip.AddrFromSlice(buf[at : at+bytes])
		to = netip.AddrPortFrom(a, binary.BigEndian.Uint16(buf[2:]))
		return nil
	})
	return to, err
}
