package server

import (
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/version"
	"github.com/jobengine/engine/jobs"
)

// The API versions that are spoken, oldest and newest.
const (
	MinAPIVersion = "1.24"
	MaxAPIVersion = "1.56"
)

// Options are the choices of a daemon that every request feels.
type Options struct {
	Log             *logrus.Logger // nil is logrus' standard logger
	Version         string         // for the Server header; "" is the version of the build
	MinAPIVersion   string         // the oldest that is served; "" or older ones are MinAPIVersion
	Debug           bool           // serve /debug/pprof
	Experimental    bool           // say so in the headers
	AuthzConfigured bool           // authorization plugins are in use: close the dynamic door
}

// Server answers the HTTP API by running jobs.
type Server struct {
	eng     *engine.Engine
	opts    Options
	log     *logrus.Logger
	routers map[string]router // by method
	header  string            // the value of the Server header
	oldest  apiVersion

	onConnect atomic.Pointer[func()]

	mu     sync.Mutex
	bound  chan struct{} // not nil once serveapi runs; closed when it has bound or failed
	open   chan struct{} // closed by acceptconnections
	opened bool
	ended  []chan struct{} // one for each serveapi: closed when its connections are
	hurry  chan struct{}   // closed when no more time is given to them
}

// Install registers the jobs serveapi and acceptconnections and returns the
// server, which is also an http.Handler for those who bring their own listener.
func Install(eng *engine.Engine, opts Options) *Server {
	s := New(eng, opts)
	jobs.ServeAPI.Register(eng, s.serveAPI)
	jobs.AcceptConnections.Register(eng, s.acceptConnections)
	eng.OnShutdown("server", s.awaitEnd)
	return s
}

// New makes a server that registers nothing: a handler of requests only.
func New(eng *engine.Engine, opts Options) *Server {
	if opts.Log == nil {
		opts.Log = logrus.StandardLogger()
	}
	if opts.Version == "" {
		opts.Version = version.Version
	}
	s := &Server{
		eng:    eng,
		opts:   opts,
		log:    opts.Log,
		header: "Docker/" + opts.Version + " (linux)",
		open:   make(chan struct{}),
		hurry:  make(chan struct{}),
	}
	s.oldest = minVersion
	if v, err := parseVersion(opts.MinAPIVersion, minVersion); err == nil {
		s.oldest = v
	}
	s.routers = newRouters(s.routes())
	return s
}
