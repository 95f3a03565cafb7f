package server

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of a connection.
type peer struct {
	caller string // "unix 4711" with the pid, or "tcp 10.0.0.7:4711"
	tcp    bool
	local  string // the address that a TCP client has connected to
}

type peerKey struct{}

// withPeer asks once for each connection who is there.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(conn))
}

func peerOf(conn net.Conn) *peer {
	raw := rawConn(conn)
	if uc, ok := raw.(*net.UnixConn); ok {
		p := &peer{caller: "unix"}
		if rc, err := uc.SyscallConn(); err == nil {
			rc.Control(func(fd uintptr) {
				cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
				if err == nil && cred.Pid > 0 {
					p.caller = "unix " + strconv.Itoa(int(cred.Pid))
				}
			})
		}
		return p
	}
	return &peer{caller: "tcp " + conn.RemoteAddr().String(), tcp: true, local: conn.LocalAddr().String()}
}

// rawConn unwraps TLS and the like down to the socket.
func rawConn(conn net.Conn) net.Conn {
	for {
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = w.NetConn()
	}
}

// peerFrom is nil for requests that did not come through serveapi.
func peerFrom(r *http.Request) *peer {
	p, _ := r.Context().Value(peerKey{}).(*peer)
	return p
}

func verifiedTLS(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}
