package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lookup says where what was sent to a published port belongs: to an endpoint's address and
// port. It is false if the port is nobody's any more.
type Lookup func(proto string, to netip.AddrPort) (netip.AddrPort, bool)

// Relay listens once it is opened.
type Relay struct {
	lookup Lookup

	mu     sync.Mutex
	port   uint16 // 0: not open
	close  []func() error
	closed bool
	flows  map[flowKey]*flow
	pairs  map[*pair]struct{}
}

// New makes a relay that does not listen yet.
func New(lookup Lookup) *Relay {
	return &Relay{lookup: lookup, flows: map[flowKey]*flow{}, pairs: map[*pair]struct{}{}}
}

// The relay's port is one that only root can take, and that has no name: what listens on the host, and
// what containers publish, is hardly ever there. The same one again after a restart.
const highest, lowest = 1023, 1000

// Open makes the relay listen, and gives its port; when it does already, that port again.
func (r *Relay) Open() (port uint16, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.port != 0 {
		return r.port, nil
	}
	if r.closed {
		return 0, net.ErrClosed
	}
	for p := uint16(highest); p >= lowest; p-- {
		if err = r.listen(p); err == nil {
			r.port = p
			return p, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return 0, fmt.Errorf("the relay of published ports: %w", err)
}

// families are what is listened on. A kernel without one of them does without it.
var families = []struct {
	name string
	any  netip.Addr
}{{"6", netip.IPv6Unspecified()}, {"4", netip.IPv4Unspecified()}}

func (r *Relay) listen(port uint16) (err error) {
	var opened []func() error
	defer func() {
		if err == nil {
			r.close = opened
			return
		}
		for _, c := range opened {
			c()
		}
	}()
	var start []func()
	for _, f := range families {
		at := netip.AddrPortFrom(f.any, port)
		l, err := net.ListenTCP("tcp"+f.name, net.TCPAddrFromAddrPort(at))
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
			continue
		}
		if err != nil {
			return err
		}
		opened = append(opened, l.Close)
		u, err := net.ListenUDP("udp"+f.name, net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		opened = append(opened, u.Close)
		if err := tellDestinations(u, f.name == "6"); err != nil {
			return err
		}
		start = append(start, func() { go r.accept(l) }, func() { go r.receive(u) })
	}
	if len(start) == 0 {
		return unix.EAFNOSUPPORT
	}
	for _, f := range start {
		f()
	}
	return nil
}

// Forget ends what goes to an address: it is nobody's any more, or another's soon.
func (r *Relay) Forget(target netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.flows {
		if f.target.Addr() == target {
			f.conn.Close()
		}
	}
	for p := range r.pairs {
		if p.target.Addr() == target {
			p.end()
		}
	}
}

// Close ends everything.
func (r *Relay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, c := range r.close {
		err = errors.Join(err, c())
	}
	for _, f := range r.flows {
		f.conn.Close()
	}
	for p := range r.pairs {
		p.end()
	}
	r.close, r.port, r.closed = nil, 0, true
	return err
}

// control runs f on a socket's descriptor.
func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
