package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

// serve answers on a unix socket and returns a client for it.
func serve(t *testing.T, version string, h http.HandlerFunc, opts ...Option) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	assert.NilError(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if version != "" {
			w.Header().Set("Api-Version", version)
		}
		if r.URL.Path != "/_ping" {
			h(w, r)
		}
	})}}
	s.Start()
	t.Cleanup(s.Close)
	c, err := New(Endpoint{Host: "unix://" + path}, opts...)
	assert.NilError(t, err)
	return c
}

func TestVersionIsTheOlderOfBoth(t *testing.T) {
	for _, c := range []struct{ theirs, pinned, want string }{
		{"1.41", "", "/v1.41/x"},
		{"1.9", "", "/v1.9/x"},
		{"9.99", "", "/v" + MaxVersion + "/x"},
		{"", "", "/v" + oldestAnswer + "/x"},
		{"1.41", "1.30", "/v1.30/x"},
		{"1.41", "v1.30", "/v1.30/x"},
	} {
		var path string
		opts := []Option{}
		if c.pinned != "" {
			opts = append(opts, WithVersion(c.pinned))
		}
		client := serve(t, c.theirs, func(_ http.ResponseWriter, r *http.Request) { path = r.URL.Path }, opts...)
		assert.NilError(t, client.Post(context.Background(), "/x", nil, nil, nil))
		assert.Equal(t, path, c.want)
	}
}

func TestPingTriesGetWhereHeadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	assert.NilError(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Api-Version", "1.40")
	})}}
	s.Start()
	defer s.Close()
	c, err := New(Endpoint{Host: "unix://" + path})
	assert.NilError(t, err)
	v, err := c.Version(context.Background())
	assert.NilError(t, err)
	assert.Equal(t, v, "1.40")
}

func TestErrorHasTheDaemonsTextAndTheStatusClass(t *testing.T) {
	for _, c := range []struct {
		status int
		is     func(error) bool
	}{
		{400, errdefs.IsInvalidArgument},
		{403, errdefs.IsPermissionDenied},
		{404, errdefs.IsNotFound},
		{409, errdefs.IsConflict},
		{501, errdefs.IsNotImplemented},
		{503, errdefs.IsUnavailable},
		{500, errdefs.IsInternal},
	} {
		client := serve(t, "1.41", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(c.status)
			io.WriteString(w, `{"message":"no such thing\n"}`)
		})
		err := client.Get(context.Background(), "/x", nil, nil)
		assert.Error(t, err, "Error response from daemon: no such thing")
		assert.Assert(t, c.is(err), "%d: %#v", c.status, err)
	}
}

func TestErrorWithoutUsableBody(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"text/html", "<p>no</p>\n", "Error response from daemon: <p>no</p>"},
		{"application/json", `{"other":1}`, "Error response from daemon: API returned a 502 (Bad Gateway) but provided no error-message"},
		{"application/json", `{`, "error reading JSON: unexpected end of JSON input"},
		{"text/plain", "", "request returned 502 Bad Gateway for API route and version http://localhost/v1.41/x, check if the server supports the requested API version"},
	} {
		client := serve(t, "1.41", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(502)
			io.WriteString(w, c.body)
		})
		assert.Error(t, client.Get(context.Background(), "/x", nil, nil), c.want)
	}
}

func TestNobodyListens(t *testing.T) {
	host := "unix://" + filepath.Join(t.TempDir(), "none")
	c, err := New(Endpoint{Host: host})
	assert.NilError(t, err)
	for _, err := range []error{
		c.Get(context.Background(), "/x", nil, nil),
		func() error { _, err := c.Hijack(context.Background(), "/x", nil, nil); return err }(),
	} {
		var lost *ConnectionError
		assert.Assert(t, errors.As(err, &lost))
		assert.Error(t, err, "Cannot connect to the engine daemon at "+host+". Is 'engine -d' running?")
	}
}

func TestEmptyNameIsNotAsked(t *testing.T) {
	client := serve(t, "1.41", func(_ http.ResponseWriter, r *http.Request) { t.Error("asked", r.URL) })
	assert.Equal(t, emptyName("/containers//web/json"), "")
	assert.Equal(t, emptyName("/containers/web"), "")
	assert.Equal(t, emptyName("/networks"), "")
	assert.Equal(t, emptyName("/networks/"), "network")
	assert.Error(t, client.Get(context.Background(), "/containers//json", nil, nil), "invalid container name or ID: value is empty")
}

func TestNamesCannotLeaveTheirPlaceInThePath(t *testing.T) {
	var got string
	client := serve(t, "1.41", func(_ http.ResponseWriter, r *http.Request) { got = r.URL.RawQuery + "|" + r.URL.Path })
	assert.NilError(t, client.Post(context.Background(), "/containers/a?b#c%/start", url.Values{"k": {"v&w"}}, nil, nil))
	assert.Equal(t, got, "k=v%26w|/v1.41/containers/a?b#c%/start")
}

func TestJSONIsNotEscapedForHTML(t *testing.T) {
	var got, kind string
	client := serve(t, "1.41", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, kind = strings.TrimSpace(string(b)), r.Header.Get("Content-Type")
	})
	assert.NilError(t, client.Post(context.Background(), "/x", nil, []string{"a<b>&c"}, nil))
	assert.Equal(t, got, `["a<b>&c"]`)
	assert.Equal(t, kind, "application/json")
}

// TestHijackKeepsWhatCameWithTheHeaders: a fast container's output is already
// in the reader's buffer when the upgrade is noticed. Half-close ends input only.
func TestHijackKeepsWhatCameWithTheHeaders(t *testing.T) {
	client := serve(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		assert.Check(t, r.Header.Get("Upgrade") == "tcp")
		io.Copy(io.Discard, r.Body)
		conn, rw, err := w.(http.Hijacker).Hijack()
		assert.Check(t, err)
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly,")
		in, _ := io.ReadAll(rw)
		fmt.Fprintf(conn, "late:%s", in)
	})
	conn, err := client.Hijack(context.Background(), "/x", nil, map[string]bool{"Tty": true})
	assert.NilError(t, err)
	defer conn.Close()
	io.WriteString(conn, "input")
	assert.NilError(t, conn.CloseWrite())
	out, err := io.ReadAll(conn)
	assert.NilError(t, err)
	assert.Equal(t, string(out), "early,late:input")
}

func TestHijackRefused(t *testing.T) {
	client := serve(t, "1.41", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(409)
		io.WriteString(w, `{"message":"not running"}`)
	})
	_, err := client.Hijack(context.Background(), "/x", nil, nil)
	assert.Error(t, err, "Error response from daemon: not running")
	assert.Assert(t, errdefs.IsConflict(err))
}

func TestHijackEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	client := serve(t, "1.41", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		assert.Check(t, err)
		close(entered)
		bufio.NewReader(conn).ReadByte() // until the client gives up
		conn.Close()
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-entered
		cancel()
	}()
	_, err := client.Hijack(ctx, "/x", nil, nil)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		in   string
		tls  bool
		want string
	}{
		{"", false, DefaultHost},
		{"", true, "tcp://127.0.0.1:2376"},
		{"unix://", false, DefaultHost},
		{"unix:///a/b", false, "unix:///a/b"},
		{"tcp://", false, "tcp://127.0.0.1:2375"},
		{"tcp://h", false, "tcp://h:2375"},
		{"tcp://h", true, "tcp://h:2376"},
		{"h:1", false, "tcp://h:1"},
		{":1", false, "tcp://127.0.0.1:1"},
		{"tcp://[::1]", false, "tcp://[::1]:2375"},
		{"tcp://[::1]:5/pre/fix", false, "tcp://[::1]:5/pre/fix"},
		{"ssh://me@h", false, "ssh://me@h"},
		{" tcp://h:1 ", false, "tcp://h:1"},
	} {
		got, err := ParseHost(c.in, c.tls)
		assert.NilError(t, err, c.in)
		assert.Equal(t, got, c.want)
	}
	for _, bad := range []string{"foo://x", "tcp://a://b", "tcp://h:99999", "tcp://h:x", "unix://a://b", "ssh://", "ssh://a:b@c", "ssh://a?b"} {
		_, err := ParseHost(bad, false)
		assert.Assert(t, err != nil, bad)
	}
}

func TestPrefixOfATCPHost(t *testing.T) {
	var path string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { path = r.URL.Path }))
	defer s.Close()
	c, err := New(Endpoint{Host: strings.Replace(s.URL, "http://", "tcp://", 1) + "/pre"}, WithVersion("1.40"))
	assert.NilError(t, err)
	assert.NilError(t, c.Post(context.Background(), "/x", nil, nil, nil))
	assert.Equal(t, path, "/pre/v1.40/x")
}

func TestTLSHost(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := w.(http.Hijacker).Hijack()
			assert.Check(t, err)
			fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello")
			conn.Close()
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = nil
	c, err := New(Endpoint{Host: strings.Replace(s.URL, "https://", "tcp://", 1), TLS: cfg})
	assert.NilError(t, err)
	assert.NilError(t, c.Post(context.Background(), "/x", nil, nil, nil))
	conn, err := c.Hijack(context.Background(), "/x", nil, nil)
	assert.NilError(t, err)
	out, err := io.ReadAll(conn)
	assert.NilError(t, err)
	assert.Equal(t, string(out), "hello")

	plain, err := New(Endpoint{Host: c.Host()})
	assert.NilError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = plain.Do(ctx, http.MethodGet, "/x", nil, nil)
	assert.Assert(t, err != nil)
}
