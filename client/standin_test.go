package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"
)

// standIn is a daemon of canned answers that remembers what it was asked.
type standIn struct {
	t       *testing.T
	host    string
	routes  map[string]http.HandlerFunc // "GET /containers/json", without the version
	mu      sync.Mutex
	asked   []string          // in order, with the query
	bodies  map[string][]byte // by route, the last one
	started chan struct{}     // closed by POST …/start
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{t: t, routes: map[string]http.HandlerFunc{}, bodies: map[string][]byte{}, started: make(chan struct{})}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	assert.NilError(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	server.Start()
	t.Cleanup(server.Close)
	s.host = "unix://" + path
	return s
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.50")
	if r.URL.Path == "/_ping" {
		return
	}
	route := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1.50")
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	ask := route
	if q := r.URL.Query().Encode(); q != "" {
		ask += "?" + q
	}
	s.asked = append(s.asked, ask)
	s.bodies[route] = body
	s.mu.Unlock()
	h := s.routes[route]
	if h == nil {
		h = fails(404, "page not found")
	}
	h(w, r)
}

func (s *standIn) on(route string, h http.HandlerFunc) { s.routes[route] = h }

func (s *standIn) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.asked...)
}

// run runs a command line against the stand-in.
func (s *standIn) run(line ...string) (code int, out, errs string) {
	return s.runIn("", New(), line...)
}

func (s *standIn) runIn(stdin string, c *CLI, line ...string) (code int, out, errs string) {
	s.t.Setenv("HOME", s.t.TempDir())
	for _, name := range []string{"DOCKER_HOST", "ENGINE_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT"} {
		s.t.Setenv(name, "")
	}
	var o, e bytes.Buffer
	WithStreams(strings.NewReader(stdin), &o, &e)(c)
	code = c.Run(context.Background(), append([]string{"-H", s.host}, line...))
	return code, o.String(), e.String()
}

func answers(status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if v != nil {
			json.NewEncoder(w).Encode(v)
		}
	}
}

func fails(status int, text string) http.HandlerFunc {
	return answers(status, map[string]string{"message": text})
}

func frame(stream byte, text string) []byte {
	head := make([]byte, 8)
	head[0] = stream
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return append(head, text...)
}

// container plays one container from create to its end: it echoes its input
// after it is started, says so on both outputs, and exits.
func (s *standIn) container(id string, code int) {
	s.on("POST /containers/create", answers(201, map[string]any{"Id": id, "Warnings": []string{"mind the gap"}}))
	s.on("POST /containers/"+id+"/attach", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		assert.Check(s.t, err)
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		<-s.started
		var in []byte
		if r.URL.Query().Get("stdin") == "1" {
			in, _ = io.ReadAll(rw)
		}
		conn.Write(frame(1, "out:"+string(in)))
		conn.Write(frame(2, "err"))
	})
	s.on("POST /containers/"+id+"/wait", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-s.started
		fmt.Fprintf(w, `{"StatusCode":%d}`, code)
	})
	s.on("POST /containers/"+id+"/start", func(w http.ResponseWriter, _ *http.Request) {
		close(s.started)
		w.WriteHeader(204)
	})
}
