package server

import (
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/internal/errs"
)

// ServeHTTP answers one request: who may ask, which version, which handler,
// and what becomes of its error. A panic is the end of the request only.
func (s *Server) ServeHTTP(hw http.ResponseWriter, hr *http.Request) {
	w := &response{ResponseWriter: hw}
	if s.log.IsLevelEnabled(logrus.DebugLevel) {
		began := time.Now()
		defer func() {
			s.log.Debugf("%s %q = %d %s", hr.Method, hr.URL.RequestURI(), w.status, time.Since(began).Round(10*time.Microsecond))
		}()
	}
	defer s.recoverPanic(w, hr)

	h := w.Header()
	h.Set("Server", s.header)
	h.Set("Api-Version", MaxAPIVersion)
	h.Set("Ostype", "linux")
	h.Set("Docker-Experimental", boolText(s.opts.Experimental))

	if err := s.dispatch(w, hr); err != nil {
		s.fail(w, hr, err)
	}
}

func (s *Server) dispatch(w *response, hr *http.Request) error {
	if err := guard(hr); err != nil {
		return err
	}
	version, rest, err := splitVersion(hr.URL.Path, s.oldest)
	if err != nil {
		return err
	}
	req := *hr
	u := *hr.URL
	u.Path, u.RawPath = rest, ""
	req.URL = &u
	handle, vars, ok := s.routers[hr.Method].find(&req)
	if !ok {
		return notFound(w, hr)
	}
	form, err := url.ParseQuery(hr.URL.RawQuery)
	if err != nil {
		return errs.Invalid("invalid query: %w", err)
	}
	return handle(w, &request{Request: &req, version: version, vars: vars, form: form})
}

// notFound sends clients that write a path with double slashes to the right
// one, as docker does.
func notFound(w *response, r *http.Request) error {
	clean := path.Clean(r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/") && clean != "/" {
		clean += "/"
	}
	if clean == r.URL.Path || !strings.HasPrefix(clean, "/") {
		return errPageNotFound
	}
	u := url.URL{Path: clean, RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", u.String())
	return noContent(w, http.StatusMovedPermanently)
}

// fail answers with an error's status and sentence, if that is still possible.
func (s *Server) fail(w *response, r *http.Request, err error) {
	if w.began {
		// What the client has got is not whole: it must not take it for the end.
		s.log.Debugf("%s %q failed after its answer had begun: %v", r.Method, r.URL.Path, err)
		if w.hijacked == nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	code := status(err)
	if code == http.StatusNotModified {
		w.WriteHeader(code)
		return
	}
	if code >= 500 && code != http.StatusNotImplemented && !cancelled(err) {
		s.log.Warnf("%s %q = %d: %v", r.Method, r.URL.Path, code, err)
	}
	writeJSON(w, code, errorBody{err.Error()})
}

func (s *Server) recoverPanic(w *response, r *http.Request) {
	thrown := recover()
	if thrown == nil {
		return
	}
	if thrown == http.ErrAbortHandler {
		panic(thrown) // net/http closes the connection and says nothing
	}
	s.log.Errorf("panic while answering %s %q: %v\n%s", r.Method, r.URL.Path, thrown, debug.Stack())
	if w.hijacked != nil {
		w.hijacked.Close()
		return
	}
	if w.began {
		panic(http.ErrAbortHandler)
	}
	writeJSON(w, http.StatusInternalServerError, errorBody{"the request failed by a fault of the engine's own: see the daemon's log"})
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// lowerHost is the host part of a Host header.
func lowerHost(hostport string) string {
	host := strings.ToLower((&url.URL{Host: hostport}).Hostname())
	return strings.TrimSuffix(host, ".")
}
