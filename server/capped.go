package server

import (
	"net"
	"sync"
)

// maxTCPConnections bounds what a network can make the daemon hold. Unix
// sockets have no such bound: whoever may open one is root already.
const maxTCPConnections = 4096

// cappedListener accepts no further connection while limit of them are open.
type cappedListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func capConnections(l net.Listener, limit int) net.Listener {
	return &cappedListener{Listener: l, slots: make(chan struct{}, limit), done: make(chan struct{})}
}

func (l *cappedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &cappedConn{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *cappedListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type cappedConn struct {
	net.Conn
	free func()
}

func (c *cappedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// CloseWrite keeps half-close possible.
func (c *cappedConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// NetConn is the socket itself.
func (c *cappedConn) NetConn() net.Conn { return c.Conn }
