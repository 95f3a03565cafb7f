package server

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitHangup waits until the client has closed both directions, and reports
// whether it did; false means that it was closed on our side. Over plain TCP the
// kernel learns of it only by sending something, a keep-alive at least. Nobody
// else may read meanwhile.
func awaitHangup(conn net.Conn) bool {
	raw, signs := hangupSigns(conn)
	if raw == nil {
		return false
	}
	gone := false
	// The runtime's poller wakes the function at every change of the socket.
	raw.Read(func(fd uintptr) bool {
		gone = shows(fd, signs)
		return gone
	})
	return gone
}

// hungUp tells whether the client has closed both directions by now.
func hungUp(conn net.Conn) bool {
	raw, signs := hangupSigns(conn)
	if raw == nil {
		return false
	}
	gone := false
	err := raw.Control(func(fd uintptr) { gone = shows(fd, signs) })
	return gone || err != nil
}

func hangupSigns(conn net.Conn) (syscall.RawConn, int16) {
	sock, ok := rawConn(conn).(syscall.Conn)
	if !ok {
		return nil, 0
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, 0
	}
	signs := int16(unix.POLLHUP | unix.POLLERR)
	if _, ok := conn.(*tls.Conn); ok {
		signs |= unix.POLLRDHUP // TLS half-closes by an alert: the socket's own end is the whole's
	}
	return raw, signs
}

func shows(fd uintptr, signs int16) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: signs}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&signs != 0
}
