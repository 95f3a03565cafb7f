package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/sandbox"
)

// What a container may keep of the daemon's.
const (
	maxConns = 32               // by TCP, at once
	idle     = 10 * time.Second // of such a connection
)

// A Server answers the containers of one network namespace at 127.0.0.11.
type Server struct {
	f    *Forwarder
	log  logrus.FieldLogger
	view atomic.Pointer[View]
	udp  *net.UDPConn
	tcp  *net.TCPListener
	ns   *os.File // the namespace

	grudges  grudges
	forwards underWay
	conns    underWay

	life context.Context
	end  context.CancelFunc
	done sync.WaitGroup
}

// Serve answers in the namespace of a file such as /proc/PID/ns/net, from now on until Close.
func Serve(path string, f *Forwarder, v *View, log logrus.FieldLogger) (*Server, error) {
	return serve(path, f, v, log, leadHere)
}

func serve(path string, f *Forwarder, v *View, log logrus.FieldLogger, lead func(udp, tcp uint16) error) (*Server, error) {
	s := &Server{f: f, log: log, forwards: make(underWay, maxForwardsOne), conns: make(underWay, maxConns)}
	s.view.Store(v)
	var err error
	if s.ns, err = os.Open(path); err != nil {
		return nil, err
	}
	if err := sandbox.Do(path, func() error { return s.listen(lead) }); err != nil {
		s.closeSockets()
		return nil, err
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.done.Go(s.serveUDP)
	s.done.Go(s.serveTCP)
	return s, nil
}

// listen makes the sockets and leads the packets to them. Where the kernel can not do that, the sockets
// are where the packets go.
func (s *Server) listen(lead func(udp, tcp uint16) error) error {
	err := s.bind(0)
	if err != nil {
		return err
	}
	err = lead(uint16(s.udp.LocalAddr().(*net.UDPAddr).Port), uint16(s.tcp.Addr().(*net.TCPAddr).Port))
	if err == nil {
		return nil
	}
	s.udp.Close()
	s.tcp.Close()
	if e := s.bind(port); e != nil {
		return errors.Join(err, e)
	}
	s.log.Warnf("dns: the resolver of a container is on port 53 itself, which its programs can not have then: %v", err)
	return nil
}

func (s *Server) bind(port uint16) (err error) {
	here := netip.AddrPortFrom(netip.AddrFrom4(at), port)
	if s.udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(here)); err == nil {
		s.tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(here))
	}
	return err
}

// Set changes what the container may ask.
func (s *Server) Set(v *View) { s.view.Store(v) }

// Close ends it. The namespace is free when it returns.
func (s *Server) Close() {
	s.end()
	s.closeSockets()
	s.done.Wait()
}

func (s *Server) closeSockets() {
	if s.udp != nil {
		s.udp.Close()
	}
	if s.tcp != nil {
		s.tcp.Close()
	}
	s.ns.Close()
}

func (s *Server) serveUDP() {
	raw, err := s.udp.SyscallConn()
	if err == nil {
		// It calls again whenever there is something to read, until the socket is closed.
		err = raw.Read(func(fd uintptr) bool {
			s.drain(fd)
			return false
		})
	}
	if !errors.Is(err, net.ErrClosed) {
		s.log.Errorf("dns: a container is not answered any more: %v", err)
	}
}

// drain answers what waits in the UDP socket.
func (s *Server) drain(fd uintptr) {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for s.life.Err() == nil {
		n, err := b.receive(fd)
		for i := range n {
			s.datagram(b, fd, i)
		}
		b.send(fd)
		// After a single message there is seldom another one already; the poller tells if there is.
		if n == 1 || err == unix.EAGAIN {
			return
		}
	}
}

// recovered keeps what is wrong with one question from ending the daemon.
func (s *Server) recovered() {
	if thrown := recover(); thrown != nil {
		s.log.Errorf("dns: panic over a question: %v", thrown)
	}
}

func (s *Server) datagram(b *batch, fd uintptr, i int) {
	defer s.recovered()
	out, forward := s.view.Load().answer(&b.sc, b.message(i), true)
	if forward {
		q, from := b.sc.q, b.from(i)
		q.msg = bytes.Clone(q.msg)
		answered := s.forward(&q, "udp", func(reply []byte) { s.udp.WriteToUDPAddrPort(reply, from) })
		if answered {
			return
		}
		out = failure(&q)
	}
	if out != nil {
		b.reply(fd, i, out)
	}
}

// forward lets others answer, and tells whether that is under way.
func (s *Server) forward(q *query, network string, reply func([]byte)) bool {
	v := s.view.Load()
	servers := s.f.serversFor(v)
	if len(servers) == 0 || !s.forwards.enter() {
		return false
	}
	if !s.f.enter() {
		s.forwards.leave()
		return false
	}
	s.done.Go(func() {
		defer s.recovered()
		defer s.forwards.leave()
		defer s.f.leave()
		r := s.f.exchange(s.life, servers, &s.grudges, s.dial, q.msg, q.end, network)
		if r == nil {
			r = failure(q)
		}
		reply(fit(r, q))
	})
	return true
}

func (s *Server) serveTCP() {
	for {
		conn, err := s.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is left
			select {
			case <-s.life.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		case !s.conns.enter():
			conn.Close()
		default:
			s.done.Go(func() {
				defer s.conns.leave()
				s.stream(conn)
			})
		}
	}
}

// stream answers one question after the other.
func (s *Server) stream(conn *net.TCPConn) {
	defer s.recovered()
	defer conn.Close()
	stop := context.AfterFunc(s.life, func() { conn.Close() })
	defer stop()
	var sc scratch
	for {
		conn.SetDeadline(time.Now().Add(idle))
		msg, err := readTCP(conn, maxQuery)
		if err != nil {
			return
		}
		out, forward := s.view.Load().answer(&sc, msg, false)
		if forward {
			replies := make(chan []byte, 1)
			if s.forward(&sc.q, "tcp", func(r []byte) { replies <- r }) {
				select {
				case out = <-replies:
				case <-s.life.Done():
					return
				}
			} else {
				out = failure(&sc.q)
			}
		}
		if out == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
			return
		}
	}
}

// dial connects to a server, from the container's namespace unless it is one for the host.
func (s *Server) dial(to server, network string, deadline time.Time) (io.ReadWriteCloser, error) {
	if to.onHost {
		d := net.Dialer{Deadline: deadline}
		conn, err := d.Dial(network, netip.AddrPortFrom(to.addr, port).String())
		if err == nil {
			err = conn.SetDeadline(deadline)
		}
		return conn, err
	}
	fd := -1
	err := s.inside(func() (err error) {
		family, kind := unix.AF_INET, unix.SOCK_DGRAM
		if to.addr.Is6() {
			family = unix.AF_INET6
		}
		if network == "tcp" {
			kind = unix.SOCK_STREAM
		}
		fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	// The socket belongs to the namespace; the rest needs no thread there.
	f := os.NewFile(uintptr(fd), "dns")
	if err = f.SetDeadline(deadline); err == nil {
		err = connect(f, to.addr)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// inside runs f in the namespace of the container.
func (s *Server) inside(f func() error) error {
	raw, err := s.ns.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = sandbox.DoFD(int(fd), f) })
	return errors.Join(err, failed)
}

func connect(f *os.File, to netip.Addr) error {
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: port, Addr: to.As16()}
	if to.Is4() {
		sa = &unix.SockaddrInet4{Port: port, Addr: to.As4()}
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	// Once begun, connect says how it goes.
	err = raw.Write(func(fd uintptr) bool {
		switch failed = unix.Connect(int(fd), sa); failed {
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
			return false
		case unix.EISCONN:
			failed = nil
		}
		return true
	})
	return errors.Join(err, failed)
}
