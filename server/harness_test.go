package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/network"
	"github.com/sirupsen/logrus"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// patience is how long a test waits for what must happen. It never decides
// between right and wrong on a machine that is merely slow.
const patience = 20 * time.Second

// testDaemon is a real engine that serves on a real unix socket; tests register
// stand-in jobs.
type testDaemon struct {
	t    *testing.T
	eng  *engine.Engine
	srv  *Server
	sock string
	http *http.Client
}

func start(t *testing.T, opts Options, install func(eng *engine.Engine)) *testDaemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "srv")
	assert.NilError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &testDaemon{t: t, eng: engine.New(), sock: filepath.Join(dir, "s")}
	if opts.Log == nil {
		opts.Log = quietLog()
	}
	if install != nil {
		install(d.eng)
	}
	d.srv = Install(d.eng, opts)
	d.serve(jobs.ServeAPIIn{Addresses: []string{"unix://" + d.sock}})
	_, err = jobs.AcceptConnections.Run(context.Background(), d.eng, jobs.AcceptConnectionsIn{})
	assert.NilError(t, err)
	d.http = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", d.sock)
	}}}
	t.Cleanup(d.http.CloseIdleConnections)
	return d
}

// serve runs serveapi until the test ends and waits for its socket.
func (d *testDaemon) serve(in jobs.ServeAPIIn) {
	d.t.Helper()
	result := make(chan error, 1)
	go func() {
		_, err := jobs.ServeAPI.Run(context.Background(), d.eng, in)
		result <- err
	}()
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		d.eng.Shutdown(ctx)
		assert.Check(d.t, <-result)
	})
	eventually(d.t, "serveapi binds", func() bool {
		d.srv.mu.Lock()
		bound := d.srv.bound
		d.srv.mu.Unlock()
		if bound == nil {
			return false
		}
		<-bound
		return true
	})
}

func quietLog() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: it did not", what)
}

// reply is a response that was read whole.
type reply struct {
	*http.Response
	body string
}

func (d *testDaemon) do(method, path, body string, header ...string) reply {
	d.t.Helper()
	req, err := http.NewRequest(method, "http://engine"+path, strings.NewReader(body))
	assert.NilError(d.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := d.http.Do(req)
	assert.NilError(d.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	assert.NilError(d.t, err)
	return reply{resp, string(text)}
}

func (d *testDaemon) get(path string) reply { return d.do("GET", path, "") }

func (d *testDaemon) postJSON(path, body string) reply {
	return d.do("POST", path, body, "Content-Type", "application/json")
}

// message is the text of an error answer.
func (a reply) message() string {
	var body struct{ Message string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		return "not an error: " + a.body
	}
	return body.Message
}

// dial opens a raw connection.
func (d *testDaemon) dial() *rawConnection {
	d.t.Helper()
	conn, err := net.Dial("unix", d.sock)
	assert.NilError(d.t, err)
	conn.SetDeadline(time.Now().Add(patience))
	d.t.Cleanup(func() { conn.Close() })
	return &rawConnection{d.t, conn.(*net.UnixConn), bufio.NewReader(conn)}
}

type rawConnection struct {
	t *testing.T
	*net.UnixConn
	r *bufio.Reader
}

func (c *rawConnection) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.UnixConn, text)
	assert.NilError(c.t, err)
}

// head reads status line and headers.
func (c *rawConnection) head() string {
	c.t.Helper()
	var text strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		assert.NilError(c.t, err)
		if line == "\r\n" {
			return text.String()
		}
		text.WriteString(line)
	}
}

func (c *rawConnection) readN(n int) string {
	c.t.Helper()
	buf := make([]byte, n)
	_, err := io.ReadFull(c.r, buf)
	assert.NilError(c.t, err)
	return string(buf)
}

func (c *rawConnection) readAll() string {
	c.t.Helper()
	text, err := io.ReadAll(c.r)
	assert.NilError(c.t, err)
	return string(text)
}

func pid() int { return os.Getpid() }

// Types with private parts, compared by what they are.
var (
	portsEqual = cmp.Comparer(func(a, b network.PortSet) bool { return maps.Equal(a, b) })
	addrsEqual = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)
