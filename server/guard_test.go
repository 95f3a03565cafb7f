package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

// tcpAnswer sends one request over plain TCP with a Host and headers.
func tcpAnswer(t *testing.T, addr, method, path, host, headers string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	assert.NilError(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, host, headers)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	assert.NilError(t, err)
	resp.Body.Close()
	return resp
}

func TestWebPagesCannotUseATCPListener(t *testing.T) {
	addr := serveTLS(t, jobs.ServeAPIIn{}) // without TLS
	_, port, _ := net.SplitHostPort(addr)
	for _, row := range []struct {
		host, headers string
		status        int
	}{
		{addr, "", 200},
		{"localhost:" + port, "", 200},
		{"LOCALHOST", "", 200},
		{"[::1]:" + port, "", 200},
		{hostname(), "", 200},
		{"192.0.2.7", "", 200},
		{"evil.example:" + port, "", 403},
		{"evil", "", 403},
		{"127.0.0.1.evil.example", "", 403},
		{"localhost.evil.example", "", 403},
		{"", "", 403},
		{addr, "Origin: http://evil.example\r\n", 403},
		{addr, "Origin: null\r\n", 403},
		{addr, "Sec-Fetch-Site: cross-site\r\n", 403},
		{addr, "Content-Type: application/x-www-form-urlencoded\r\n", 403},
		{addr, "Content-Type: multipart/form-data; boundary=x\r\n", 403},
		{addr, "Content-Type: text/plain\r\n", 200},
	} {
		resp := tcpAnswer(t, addr, "GET", "/_ping", row.host, row.headers)
		assert.Equal(t, resp.StatusCode, row.status, "%+v", row)
		assert.Equal(t, resp.Header.Get("Access-Control-Allow-Origin"), "")
	}
}

func TestTheUnixSocketTakesAnyHost(t *testing.T) {
	d := start(t, Options{}, nil)
	c := d.dial()
	c.send("GET /_ping HTTP/1.1\r\nHost: docker\r\nOrigin: http://evil\r\n\r\n")
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 200 OK"))
}

func TestPlainTCPDoesNotOpenTheDynamicDoor(t *testing.T) {
	addr := serveTLS(t, jobs.ServeAPIIn{})
	for _, line := range []string{"GET /jobs", "POST /jobs/commands", "DELETE /jobs/1", "POST /v1.41/jobs/commands"} {
		method, path, _ := strings.Cut(line, " ")
		assert.Equal(t, tcpAnswer(t, addr, method, path, addr, "").StatusCode, 403, line)
	}
}
