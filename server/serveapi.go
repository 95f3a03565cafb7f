package server

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

const (
	headerTimeout  = 30 * time.Second // for the request line and the headers
	maxHeaderBytes = 1 << 20
	idleTimeout    = 10 * time.Minute // between requests
	endGrace       = 2 * time.Second  // for the last answers, once no job runs any more
	maxEnd         = time.Minute      // for requests when only this job was cancelled
)

// serveAPI binds all addresses at once and answers after acceptconnections.
// Until then clients wait in the sockets' backlog. It ends with ctx or with the
// first listener that fails.
func (s *Server) serveAPI(ctx context.Context, job *engine.Job, in jobs.ServeAPIIn) (jobs.ServeAPIOut, error) {
	out := jobs.ServeAPIOut{}
	bound, ended := s.enter()
	defer close(ended)
	listeners, err := s.bindAll(in)
	close(bound)
	if err != nil {
		return out, err
	}
	defer func() {
		for _, l := range listeners {
			l.close()
		}
	}()

	select {
	case <-s.open:
	case <-ctx.Done():
		return out, nil
	}

	srv := s.httpServer()
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		s.log.Infof("API listen on %s", l.address)
		go func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", l.address, err)
			}
		}()
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	// Nothing new is accepted. The engine waits for the jobs that run, and tells
	// through awaitEnd when their answers only need to be sent.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxEnd)
	defer cancel()
	go func() {
		select {
		case <-s.hurry:
			cancel()
		case <-grace.Done():
		}
	}()
	if srv.Shutdown(grace) != nil {
		srv.Close()
	}
	return out, err
}

// httpServer has the limits that every listener shares.
func (s *Server) httpServer() *http.Server {
	// HTTP/2 is left out: no client of this API needs it.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withPeer,
		ConnState:         s.connState,
		ErrorLog:          stdlog.New(debugWriter{s.log}, "", 0),
	}
}

// OnConnect has f called, which must return at once, whenever a client connects:
// most requests that do much are the second or third of a fresh client.
func (s *Server) OnConnect(f func()) { s.onConnect.Store(&f) }

func (s *Server) connState(_ net.Conn, state http.ConnState) {
	if f := s.onConnect.Load(); f != nil && state == http.StateNew {
		(*f)()
	}
}

// debugWriter takes net/http's own messages: handshakes that fail and the like.
type debugWriter struct{ log *logrus.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debugf("http: %q", p)
	return len(p), nil
}

func (s *Server) enter() (bound, ended chan struct{}) {
	bound, ended = make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound = bound
	s.ended = append(s.ended, ended)
	return bound, ended
}

// awaitEnd gives the last answers the time to leave.
func (s *Server) awaitEnd(context.Context) error {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	timeout := time.After(endGrace)
	for _, c := range ended {
		select {
		case <-c:
		case <-timeout:
			close(s.hurry)
			<-c
			return nil
		}
	}
	return nil
}

// acceptConnections begins to answer, and tells systemd that the daemon is up.
func (s *Server) acceptConnections(ctx context.Context, job *engine.Job, _ jobs.AcceptConnectionsIn) (jobs.AcceptConnectionsOut, error) {
	out := jobs.AcceptConnectionsOut{}
	s.mu.Lock()
	bound, first := s.bound, !s.opened
	if first {
		s.opened = true
		close(s.open)
	}
	s.mu.Unlock()
	if !first {
		return out, nil
	}
	if bound != nil {
		select {
		case <-bound:
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		s.log.Warnf("tell systemd that the daemon is up: %v", err)
	}
	return out, nil
}

// listener is a bound socket with the address it was asked for.
type listener struct {
	net.Listener
	address string
	close   func()
}

// bindAll binds every address or none.
func (s *Server) bindAll(in jobs.ServeAPIIn) ([]*listener, error) {
	if len(in.Addresses) == 0 {
		return nil, errs.Invalid("serveapi: no address to listen on")
	}
	b := binder{in: in, log: s.log}
	defer b.done()
	var all []*listener
	for _, address := range in.Addresses {
		ls, err := b.bind(address)
		if err != nil {
			for _, l := range all {
				l.close()
			}
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		all = append(all, ls...)
	}
	return all, nil
}
