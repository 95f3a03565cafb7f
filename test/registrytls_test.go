//go:build system

package test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// town is a host whose only address that nobody trusts blindly, as loopback is,
// is townAddress; registries and the daemon are there, and its certs.d is the test's.
type town struct {
	place
	certs string // the daemon's /etc/docker/certs.d
	ca    *harness.Certificate
	next  int
}

const townAddress = "192.0.2.10"

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{place: newPlace(t, "the town"), certs: t.TempDir(), next: 5000}
	w.sh("ip link set lo up && ip addr add " + townAddress + "/32 dev lo")
	var err error
	w.ca, err = harness.Authority("town")
	assert.NilError(t, err)
	return w
}

// engine starts a daemon whose /etc has our certs.d in it.
func (w *town) engine(flags ...string) *engine {
	w.t.Helper()
	skeleton := w.t.TempDir()
	assert.NilError(w.t, os.MkdirAll(filepath.Join(skeleton, "docker/certs.d"), 0o755))
	return startWith(w.t, harness.Options{Flags: flags, Wrap: []string{"nsenter", "--net=" + w.path, "unshare", "-m", "sh", "-c",
		"mount -t overlay none -o lowerdir=" + skeleton + ":/etc /etc && mount --bind " + w.certs + ` /etc/docker/certs.d && exec "$0" "$@"`}})
}

// issue makes a certificate that the town's authority has signed.
func (w *town) issue(change func(*x509.Certificate)) *harness.Certificate {
	w.t.Helper()
	c, err := w.ca.Issue(change)
	assert.NilError(w.t, err)
	return c
}

// address is one that nobody has yet.
func (w *town) address() string {
	w.next++
	return fmt.Sprintf("%s:%d", townAddress, w.next)
}

// trust makes the daemon know the town's authority for a registry.
func (w *town) trust(host string) (dir string) {
	w.t.Helper()
	dir = filepath.Join(w.certs, host)
	assert.NilError(w.t, os.MkdirAll(dir, 0o755))
	assert.NilError(w.t, w.ca.Save(filepath.Join(dir, "ca.crt"), ""))
	return dir
}

// registry runs docker-registry with a certificate, nil for plain HTTP, and
// more of its configuration, in which DIR is a folder of its own.
func (w *town) registry(shown *harness.Certificate, tlsMore, more string) (host string, wire *tap) {
	w.t.Helper()
	dir := w.t.TempDir()
	behind := w.address()
	secure := ""
	if shown != nil {
		assert.NilError(w.t, shown.Save(dir+"/cert.pem", dir+"/key.pem"))
		secure = fmt.Sprintf(", tls: {certificate: %s/cert.pem, key: %s/key.pem%s}", dir, dir, tlsMore)
	}
	// It gives addresses relative to the request, so that all goes by the wire.
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %q, relativeurls: true%s}\n%s", dir, behind, secure, more)
	assert.NilError(w.t, os.WriteFile(dir+"/config.yml", []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
	cmd := exec.Command("nsenter", "--net="+w.path, "docker-registry", "serve", dir+"/config.yml")
	output, err := os.Create(dir + "/log")
	assert.NilError(w.t, err)
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	assert.NilError(w.t, cmd.Start())
	w.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	soon(w.t, "the registry listens", func() bool {
		return w.do(func() error {
			c, err := net.DialTimeout("tcp", behind, time.Second)
			if err == nil {
				c.Close()
			}
			return err
		}) == nil
	}, func() string { log, _ := os.ReadFile(dir + "/log"); return string(log) })
	return w.wire(behind)
}

// tap passes connections on and notes how they begin.
type tap struct {
	mu    sync.Mutex
	clear []string // first bytes of those that were not TLS
	all   int
}

func (w *town) wire(behind string) (host string, wr *tap) {
	w.t.Helper()
	wr = &tap{}
	host = w.address()
	var l net.Listener
	assert.NilError(w.t, w.do(func() (err error) { l, err = net.Listen("tcp", host); return err }))
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				first := make([]byte, 1024)
				n, err := c.Read(first)
				if err != nil {
					return
				}
				wr.mu.Lock()
				wr.all++
				if first[0] != 0x16 { // a TLS handshake
					wr.clear = append(wr.clear, string(first[:n]))
				}
				wr.mu.Unlock()
				var up net.Conn
				if w.do(func() (err error) { up, err = net.Dial("tcp", behind); return err }) != nil {
					return
				}
				defer up.Close()
				up.Write(first[:n])
				heard := make(chan struct{})
				go func() {
					defer close(heard)
					io.Copy(up, c)
					up.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, c) // so that the last word is not lost with what nobody has read
				}()
				io.Copy(c, up)
				c.(*net.TCPConn).CloseWrite()
				<-heard
			}()
		}
	}()
	return host, wr
}

// seen gives how many connections there were since the last look, and what was said in clear.
func (wr *tap) seen() (connections int, clear []string) {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	connections, clear = wr.all, wr.clear
	wr.all, wr.clear = 0, nil
	return connections, clear
}

// Debian's docker-registry with TLS: what holds is used, what does not hold is
// named, and nobody ever goes on in clear.
func TestDockersRegistryWithTLS(t *testing.T) {
	w := newTown(t)
	good := harness.For(townAddress)
	host, wire := w.registry(w.issue(good), "", "")
	e := w.engine()
	e.loadRandom("random:1", 2, 256<<10)
	id := e.must("images", "-q", "--no-trunc", "random:1")
	fails := func(host, want string) {
		t.Helper()
		before := e.must("images", "-aq")
		e.must("tag", "random:1", host+"/app:1")
		for _, args := range [][]string{{"push", host + "/app:1"}, {"pull", host + "/app:1"}, {"run", "--rm", host + "/other:1", "true"}, {"login", "-u", "me", "-p", "secret", host}} {
			res := e.any(append([]string{"--config", t.TempDir()}, args...)...)
			code := 1
			if args[0] == "run" {
				code = 125
			}
			assert.Equal(t, res.Code, code, "%s: %s", args, res)
			assert.Assert(t, strings.Contains(res.Stderr, want), "%s: %s", args, res)
		}
		e.must("rmi", host+"/app:1")
		assert.Equal(t, e.must("images", "-aq"), before)
	}
	onlyTLS := func(wire *tap) {
		t.Helper()
		n, clear := wire.seen()
		assert.Assert(t, n > 0)
		assert.Equal(t, len(clear), 0, "%q", clear)
	}

	fails(host, "tls: failed to verify certificate: x509: certificate signed by unknown authority")
	onlyTLS(wire)
	w.trust(host)
	ref := host + "/app:1"
	e.must("tag", "random:1", ref)
	e.must("push", "-q", ref)
	digest := e.must("images", "--digests", "--format", "{{.Digest}}", host+"/app")
	e.must("rmi", ref, "random:1")
	e.must("pull", "-q", ref)
	assert.Equal(t, e.must("images", "-q", "--no-trunc", ref), id)
	assert.Equal(t, e.must("images", "--digests", "--format", "{{.Digest}}", host+"/app"), digest)
	onlyTLS(wire)
	e.must("tag", ref, "random:1")

	for name, row := range map[string]struct {
		shown *harness.Certificate
		want  string
	}{
		"expired":         {w.issue(func(c *x509.Certificate) { good(c); c.NotAfter = time.Now().Add(-time.Hour) }), "x509: certificate has expired or is not yet valid: "},
		"for another":     {w.issue(harness.For("192.0.2.99")), "x509: certificate is valid for 192.0.2.99, not " + townAddress},
		"for nobody":      {w.issue(func(*x509.Certificate) {}), "x509: cannot validate certificate for " + townAddress},
		"of its own hand": {must(t)((*harness.Certificate)(nil).Issue(good)), "x509: certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			bad, wire := w.registry(row.shown, "", "")
			w.trust(bad)
			fails(bad, row.want)
			onlyTLS(wire)
		})
	}

	// A registry that speaks no TLS is told apart, and is not spoken to in clear.
	plain, wire := w.registry(nil, "", "")
	fails(plain, "http: server gave HTTP response to HTTPS client")
	onlyTLS(wire)

	// One that wants to know its clients.
	clients, err := harness.Authority("clients")
	assert.NilError(t, err)
	file := filepath.Join(t.TempDir(), "clients.pem")
	assert.NilError(t, clients.Save(file, ""))
	shy, wire := w.registry(w.issue(good), ", clientcas: ["+file+"]", "")
	own := w.trust(shy)
	fails(shy, "remote error: tls: ")
	me, err := clients.Issue(func(*x509.Certificate) {})
	assert.NilError(t, err)
	assert.NilError(t, me.Save(own+"/client.cert", ""))
	fails(shy, "missing key client.key for client certificate client.cert")
	assert.NilError(t, me.Save(own+"/client.cert", own+"/client.key"))
	e.must("tag", "random:1", shy+"/app:1")
	e.must("push", "-q", shy+"/app:1")
	e.must("rmi", shy+"/app:1")
	e.must("pull", "-q", shy+"/app:1")
	onlyTLS(wire)

	// Told that they are insecure, all of them will do.
	w.certs = t.TempDir()
	lax := w.engine("--insecure-registry", "192.0.2.0/24")
	lax.must("pull", "-q", ref)
	lax.must("tag", ref, plain+"/app:1")
	lax.must("push", "-q", plain+"/app:1")
	assert.Equal(t, lax.must("images", "-q", "--no-trunc", plain+"/app:1"), id)
}

// must gives a value, or ends the test.
func must(t *testing.T) func(*harness.Certificate, error) *harness.Certificate {
	return func(c *harness.Certificate, err error) *harness.Certificate {
		t.Helper()
		assert.NilError(t, err)
		return c
	}
}

// Debian's docker-registry with TLS and passwords.
func TestDockersRegistryWithPasswords(t *testing.T) {
	w := newTown(t)
	file := filepath.Join(t.TempDir(), "passwords")
	run(t, "htpasswd", "-Bbc", file, "me", "secret")
	host, wire := w.registry(w.issue(harness.For(townAddress)), "", "auth: {htpasswd: {realm: here, path: "+file+"}}\n")
	w.trust(host)
	e := w.engine()
	ref := host + "/app:1"
	e.loadRandom(ref, 2, 64<<10)
	dir := t.TempDir()
	fails := func(want string, args ...string) {
		t.Helper()
		res := e.any(append([]string{"--config", dir}, args...)...)
		assert.Equal(t, res.Code, 1, res.String())
		assert.Assert(t, strings.Contains(res.Stderr, want), res.String())
	}
	fails("no basic auth credentials", "push", ref)
	fails("no basic auth credentials", "pull", ref)
	fails("401 Unauthorized", "login", "-u", "me", "-p", "wrong", host)
	e.must("--config", dir, "login", "-u", "me", "-p", "secret", host)
	e.must("--config", dir, "push", "-q", ref)
	e.must("rmi", ref)
	e.must("--config", dir, "pull", "-q", ref)
	// What is there does not make up for a missing password.
	fails("no basic auth credentials", "--config", t.TempDir(), "pull", ref)
	e.must("--config", dir, "logout", host)
	fails("no basic auth credentials", "pull", ref)
	_, clear := wire.seen()
	assert.Equal(t, len(clear), 0, "%q", clear)
	for _, secret := range []string{"secret", "bWU6c2VjcmV0"} {
		assert.Assert(t, !strings.Contains(e.Log(), secret))
	}
}

// tokenServer runs a token service in the town.
func (w *town) tokenServer(tokens *harness.Tokens, secure bool) (url string) {
	w.t.Helper()
	host := w.address()
	srv := httptest.NewUnstartedServer(tokens)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Listener.Close()
	assert.NilError(w.t, w.do(func() (err error) { srv.Listener, err = net.Listen("tcp", host); return err }))
	scheme := "http"
	if secure {
		scheme = "https"
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{w.issue(harness.For(townAddress)).Pair()}}
		srv.StartTLS()
		w.trust(host)
	} else {
		srv.Start()
	}
	w.t.Cleanup(srv.Close)
	return scheme + "://" + host + "/token"
}

// Debian's docker-registry, which believes a token service of ours.
func TestDockersRegistryWithATokenServer(t *testing.T) {
	w := newTown(t)
	signer, err := harness.Authority("tokens")
	assert.NilError(t, err)
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	assert.NilError(t, signer.Save(bundle, ""))
	tokens := &harness.Tokens{Issuer: "town hall", Service: "the registry", Signer: signer, User: "me", Password: "secret"}
	registry := func(realm string) string {
		host, _ := w.registry(w.issue(harness.For(townAddress)), "",
			fmt.Sprintf("auth: {token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %s}}\n", realm, tokens.Service, tokens.Issuer, bundle))
		w.trust(host)
		return host
	}
	realm := w.tokenServer(tokens, true)
	host := registry(realm)
	e := w.engine()
	e.loadRandom("random:1", 2, 64<<10)
	password, identity, none := t.TempDir(), t.TempDir(), t.TempDir()
	as := func(dir string, args ...string) harness.Result {
		t.Helper()
		return e.any(append([]string{"--config", dir}, args...)...)
	}
	ok := func(dir string, args ...string) { t.Helper(); e.must(append([]string{"--config", dir}, args...)...) }
	refused := func(res harness.Result) {
		t.Helper()
		assert.Equal(t, res.Code, 1, res.String())
		assert.Assert(t, strings.Contains(res.Stderr, "incorrect username or password"), res.String())
	}
	// scopes gives what was asked for since the last look, once each; all of it by the one means.
	scopes := func(shown string) string {
		t.Helper()
		var all []string
		seen := map[string]bool{}
		for _, r := range tokens.Asked() {
			assert.Equal(t, r.Shown, shown, "%+v", r)
			if !seen[r.Scope] {
				seen[r.Scope] = true
				all = append(all, r.Scope)
			}
		}
		return strings.Join(all, " | ")
	}

	// The password, as config.json keeps it where there is nothing better.
	assert.NilError(t, os.WriteFile(password+"/config.json", []byte(fmt.Sprintf(`{"auths":{%q:{"auth":"bWU6c2VjcmV0"}}}`, host)), 0o600))
	for _, ref := range []string{host + "/team/a:1", host + "/b:1"} {
		e.must("tag", "random:1", ref)
		refused(as(none, "push", ref))
		scopes("")
	}
	ok(password, "push", "-q", host+"/team/a:1")
	assert.Equal(t, scopes("password"), "repository:team/a:pull,push")
	// The second repository's layers are mounted from the first, for which it needs leave to read there.
	ok(password, "push", "-q", host+"/b:1")
	assert.Equal(t, scopes("password"), "repository:b:pull,push | repository:b:pull,push repository:team/a:pull")
	e.must("rmi", host+"/b:1")
	ok(password, "pull", "-q", host+"/b:1")
	assert.Equal(t, scopes("password"), "repository:b:pull")
	refused(as(none, "pull", host+"/b:1"))
	assert.Equal(t, scopes(""), "repository:b:pull")

	// Tokens that the registry finds too old are fetched anew.
	tokens.Expire(1)
	ok(password, "pull", "-q", host+"/b:1")
	assert.Equal(t, len(tokens.Asked()), 2)
	tokens.Expire(1)
	e.must("tag", "random:1", host+"/c:1")
	ok(password, "push", "-q", host+"/c:1")
	tokens.Asked()
	// If they never get better, there is an end.
	tokens.Expire(1000)
	res := as(password, "pull", host+"/b:1")
	assert.Equal(t, res.Code, 1, res.String())
	assert.Assert(t, len(tokens.Asked()) < 10)
	tokens.Expire(0)

	// A login is worth an identity, and the password is kept nowhere.
	refused(as(identity, "login", "-u", "me", "-p", "wrong", host))
	ok(identity, "login", "-u", "me", "-p", "secret", host)
	data, err := os.ReadFile(identity + "/config.json")
	assert.NilError(t, err)
	var file struct {
		Auths map[string]struct{ Auth, IdentityToken string }
	}
	assert.NilError(t, json.Unmarshal(data, &file))
	assert.Assert(t, strings.HasPrefix(file.Auths[host].IdentityToken, "identity-"), "%s", data)
	assert.Assert(t, !strings.Contains(string(data), "bWU6c2VjcmV0"), "%s", data)
	tokens.Asked()
	ok(identity, "pull", "-q", host+"/b:1")
	assert.Equal(t, scopes("identity"), "repository:b:pull")
	ok(identity, "push", "-q", host+"/b:1")
	assert.Equal(t, scopes("identity"), "repository:b:pull,push")
	tokens.Revoke()
	refused(as(identity, "pull", host+"/b:1"))
	tokens.Asked()

	// One that is not reached by https learns nothing, and is asked by strangers only.
	open := registry(w.tokenServer(tokens, false))
	assert.NilError(t, os.WriteFile(password+"/config.json", []byte(fmt.Sprintf(`{"auths":{%q:{"auth":"bWU6c2VjcmV0"}}}`, open)), 0o600))
	res = as(password, "pull", open+"/b:1")
	assert.Equal(t, res.Code, 1, res.String())
	assert.Assert(t, strings.Contains(res.Stderr, "is not reached by https"), res.String())
	assert.Equal(t, len(tokens.Asked()), 0)
	// A service that shows a certificate of nobody's is not told anything either.
	other := w.tokenServer(tokens, true)
	assert.NilError(t, os.RemoveAll(filepath.Join(w.certs, strings.Split(other, "/")[2])))
	unknown := registry(other)
	assert.NilError(t, os.WriteFile(password+"/config.json", []byte(fmt.Sprintf(`{"auths":{%q:{"auth":"bWU6c2VjcmV0"}}}`, unknown)), 0o600))
	res = as(password, "pull", unknown+"/b:1")
	assert.Equal(t, res.Code, 1, res.String())
	assert.Assert(t, strings.Contains(res.Stderr, "certificate signed by unknown authority"), res.String())
	assert.Equal(t, len(tokens.Asked()), 0)
	for _, secret := range []string{"secret", "bWU6c2VjcmV0", file.Auths[host].IdentityToken, "Bearer "} {
		assert.Assert(t, !strings.Contains(e.Log(), secret), "%s is in the log", secret)
	}
}

var _ http.Handler = (*harness.Tokens)(nil)
