package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// serveOnce runs serveapi for addresses that it is to refuse.
func serveOnce(t *testing.T, in jobs.ServeAPIIn) error {
	t.Helper()
	eng := engine.New()
	Install(eng, Options{Log: quietLog()})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := jobs.ServeAPI.Run(ctx, eng, in)
	assert.NilError(t, ctx.Err(), "serveapi did not end by itself")
	return err
}

func TestAddressesThatCannotBeServedAreNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	assert.NilError(t, os.WriteFile(file, nil, 0o600))
	long := "/" + strings.Repeat("x", 200)
	for address, want := range map[string]string{
		"nonsense":              "not an address",
		"http://127.0.0.1:1":    `unknown protocol "http"`,
		"unix://":               "the path is missing",
		"unix://" + long:        "the path has 201 bytes, a socket's may have 107",
		"unix://" + file:        "the file exists and is not a socket",
		"tcp://127.0.0.1:99999": `invalid port "99999"`,
		"tcp://127.0.0.1:http":  `invalid port "http"`,
		"tcp://127.0.0.1:1/x":   "a path is not possible here",
		"tcp://0.0.0.0:0":       "refused without TLS beyond loopback",
		"tcp://[::]:0":          "refused without TLS beyond loopback",
		"fd://":                 "no sockets found via socket activation",
	} {
		err := serveOnce(t, jobs.ServeAPIIn{Addresses: []string{address}})
		assert.ErrorContains(t, err, "listen on "+address+": ", address)
		assert.ErrorContains(t, err, want, address)
	}
	assert.ErrorContains(t, serveOnce(t, jobs.ServeAPIIn{}), "no address")
}

func TestNothingStaysBoundWhenOneAddressFails(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	err := serveOnce(t, jobs.ServeAPIIn{Addresses: []string{"unix://" + sock, "nonsense"}})
	assert.ErrorContains(t, err, "nonsense")
	_, err = os.Lstat(sock)
	assert.Check(t, os.IsNotExist(err))
}

func TestASocketThatIsInUseIsNotTaken(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	assert.NilError(t, err)
	defer l.Close()
	err = serveOnce(t, jobs.ServeAPIIn{Addresses: []string{"unix://" + sock}})
	assert.ErrorContains(t, err, "another program listens there")
	assert.Check(t, errdefs.IsConflict(err))
	_, err = os.Lstat(sock)
	assert.NilError(t, err)
}

func TestAStaleSocketIsReplacedAndTheOwnOneRemoved(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "deep", "s")
	assert.NilError(t, os.Mkdir(filepath.Dir(sock), 0o755))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
	assert.NilError(t, err)
	l.SetUnlinkOnClose(false)
	l.Close() // the file stays and nobody answers

	eng := engine.New()
	srv := Install(eng, Options{Log: quietLog()})
	d := &testDaemon{t: t, eng: eng, srv: srv, sock: sock}
	ended := make(chan error)
	go func() {
		_, err := jobs.ServeAPI.Run(context.Background(), eng, jobs.ServeAPIIn{Addresses: []string{"unix://" + sock}})
		ended <- err
	}()
	eventually(t, "the socket is ours", func() bool {
		conn, err := net.Dial("unix", sock)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	_, err = jobs.AcceptConnections.Run(context.Background(), eng, jobs.AcceptConnectionsIn{})
	assert.NilError(t, err)
	c := d.dial()
	c.send("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 200 OK"))
	assert.NilError(t, eng.Shutdown(context.Background()))
	assert.NilError(t, <-ended)
	_, err = os.Lstat(sock)
	assert.Check(t, os.IsNotExist(err))
}

func TestTheSocketIsForItsGroupOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("changing the group needs root")
	}
	for group, want := range map[string]uint32{"daemon": 1, "4711": 4711} {
		sock := filepath.Join(t.TempDir(), "s")
		b := binder{in: jobs.ServeAPIIn{SocketGroup: group}, log: quietLog()}
		ls, err := b.bind("unix://" + sock)
		assert.NilError(t, err)
		st, err := os.Lstat(sock)
		assert.NilError(t, err)
		assert.Equal(t, st.Mode().Perm(), os.FileMode(0o660))
		assert.Equal(t, st.Sys().(*syscall.Stat_t).Gid, want)
		ls[0].close()
	}
	err := serveOnce(t, jobs.ServeAPIIn{Addresses: []string{"unix://" + filepath.Join(t.TempDir(), "s")}, SocketGroup: "no-such-group"})
	assert.ErrorContains(t, err, `group "no-such-group"`)
}

func TestASocketIsNeverOpenToOthersEvenForAMoment(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	l, err := listenPrivately(sock)
	assert.NilError(t, err)
	defer l.Close()
	st, err := os.Lstat(sock)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o600))
}

func TestASocketThatAnotherDaemonPutThereIsNotRemoved(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	b := binder{log: quietLog()}
	ls, err := b.bind("unix://" + sock)
	assert.NilError(t, err)
	assert.NilError(t, os.Remove(sock))
	other, err := net.Listen("unix", sock)
	assert.NilError(t, err)
	defer other.Close()
	ls[0].close()
	_, err = os.Lstat(sock)
	assert.NilError(t, err)
}

func TestClientsThatConnectDuringBootWait(t *testing.T) {
	dir := t.TempDir()
	eng := engine.New()
	srv := Install(eng, Options{Log: quietLog()})
	d := &testDaemon{t: t, eng: eng, srv: srv, sock: filepath.Join(dir, "s")}
	d.serve(jobs.ServeAPIIn{Addresses: []string{"unix://" + d.sock}})
	c := d.dial()
	c.send("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.r.Peek(1)
	assert.Check(t, os.IsTimeout(err))
	for range 2 { // a second time is harmless
		_, err = jobs.AcceptConnections.Run(context.Background(), eng, jobs.AcceptConnectionsIn{})
		assert.NilError(t, err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 200 OK"))
}

func TestSystemdIsToldWhenTheDaemonIsUp(t *testing.T) {
	notify := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	assert.NilError(t, err)
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", notify)
	start(t, Options{}, nil)
	l.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 100)
	n, err := l.Read(buf)
	assert.NilError(t, err)
	assert.Equal(t, string(buf[:n]), "READY=1")
}

func TestRequestsThatRunAtShutdownAreAnswered(t *testing.T) {
	running := make(chan bool)
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Stop.Register(eng, func(context.Context, *engine.Job, jobs.StopIn) (jobs.StopOut, error) {
			running <- true
			time.Sleep(20 * time.Millisecond)
			return jobs.StopOut{}, nil
		})
	})
	c := d.dial()
	c.send("POST /containers/x/stop HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	assert.NilError(t, d.eng.Shutdown(context.Background()))
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 204 No Content"))
	_, err := net.Dial("unix", d.sock)
	assert.Check(t, err != nil)
}

func TestTheLimitsOfRequestsAreSet(t *testing.T) {
	srv := New(engine.New(), Options{Log: quietLog()}).httpServer()
	assert.Equal(t, srv.ReadHeaderTimeout, 30*time.Second)
	assert.Equal(t, srv.MaxHeaderBytes, 1<<20)
	assert.Check(t, !srv.Protocols.HTTP2() && !srv.Protocols.UnencryptedHTTP2())
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	d := start(t, Options{}, nil)
	c := d.dial()
	go io.WriteString(c.UnixConn, "GET /_ping HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2<<20)+"\r\n\r\n")
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 431 "))
	assert.Equal(t, d.get("/_ping").StatusCode, 200)
}

func TestATCPListenerHoldsSoManyConnectionsAndNoMore(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	l := capConnections(inner, 1)
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		assert.NilError(t, err)
		defer c.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("a second connection was accepted beside the first")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // twice frees one place only
	second := <-accepted
	l.Close()
	_, more := <-accepted
	assert.Check(t, !more)
	second.Close()
}

// TestHelperActivated is the daemon of TestSocketsOfSystemdAreServed.
func TestHelperActivated(t *testing.T) {
	if os.Getenv("ENGINE_TEST_ACTIVATED") == "" {
		t.Skip("a helper of another test")
	}
	eng := engine.New()
	Install(eng, Options{Log: quietLog()})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go jobs.AcceptConnections.Run(ctx, eng, jobs.AcceptConnectionsIn{})
	_, err := jobs.ServeAPI.Run(ctx, eng, jobs.ServeAPIIn{Addresses: []string{os.Getenv("ENGINE_TEST_ACTIVATED")}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSocketsOfSystemdAreServed(t *testing.T) {
	for _, row := range []struct {
		address   string
		unix, tcp bool
	}{{"fd://", true, true}, {"fd://*", true, true}, {"fd://3", true, false}, {"fd://web", false, true}} {
		t.Run(row.address, func(t *testing.T) {
			sock := filepath.Join(t.TempDir(), "s")
			ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
			assert.NilError(t, err)
			defer ul.Close()
			tl, err := net.Listen("tcp", "127.0.0.1:0")
			assert.NilError(t, err)
			defer tl.Close()
			uf, err := ul.File()
			assert.NilError(t, err)
			tf, err := tl.(*net.TCPListener).File()
			assert.NilError(t, err)
			cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run=TestHelperActivated$`, os.Args[0])
			cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=api:web", "ENGINE_TEST_ACTIVATED="+row.address)
			cmd.ExtraFiles = []*os.File{uf, tf}
			assert.NilError(t, cmd.Start())
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			uf.Close()
			tf.Close()
			if row.unix {
				assert.Equal(t, pingOver(t, "unix", sock), "OK")
			}
			if row.tcp {
				assert.Equal(t, pingOver(t, "tcp", tl.Addr().String()), "OK")
			}
			_, err = os.Lstat(sock)
			assert.NilError(t, err) // it is systemd's, not ours
		})
	}
}

func pingOver(t *testing.T, network, addr string) string {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial(network, addr)
	}}}
	resp, err := client.Get("http://localhost/_ping")
	assert.NilError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	assert.NilError(t, err)
	return string(body)
}

// authority is a CA for one test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	assert.NilError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	assert.NilError(t, err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	assert.NilError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// issue makes a certificate and returns its files.
func (a *authority) issue(name string, usage x509.ExtKeyUsage, until time.Time) (cert, key string) {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	assert.NilError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(k)
	assert.NilError(a.t, err)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+"-key.pem", "EC PRIVATE KEY", keyDER)
}

func (a *authority) client(name string, usage x509.ExtKeyUsage, until time.Time) []tls.Certificate {
	pair, err := tls.LoadX509KeyPair(a.issue(name, usage, until))
	assert.NilError(a.t, err)
	return []tls.Certificate{pair}
}

// serveTLS serves on a loopback port and returns its address.
func serveTLS(t *testing.T, in jobs.ServeAPIIn) string {
	t.Helper()
	return serveTCP(t, in, engine.New())
}

func serveTCP(t *testing.T, in jobs.ServeAPIIn, eng *engine.Engine) string {
	t.Helper()
	srv := Install(eng, Options{Log: quietLog()})
	l, err := net.Listen("tcp", "127.0.0.1:0") // for a free port
	assert.NilError(t, err)
	addr := l.Addr().String()
	l.Close()
	in.Addresses = []string{"tcp://" + addr}
	(&testDaemon{t: t, eng: eng, srv: srv}).serve(in)
	_, err = jobs.AcceptConnections.Run(context.Background(), eng, jobs.AcceptConnectionsIn{})
	assert.NilError(t, err)
	return addr
}

func getTLS(addr, path string, cfg *tls.Config) (*http.Response, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
	resp, err := client.Get("https://" + addr + path)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

func TestMutualTLSLetsOnlyKnownClientsIn(t *testing.T) {
	ca, other := newAuthority(t, "ours"), newAuthority(t, "theirs")
	soon := time.Now().Add(time.Hour)
	in := jobs.ServeAPIIn{TLSVerify: true, TLSCA: filepath.Join(ca.dir, "ca.pem")}
	in.TLSCert, in.TLSKey = ca.issue("server", x509.ExtKeyUsageServerAuth, soon)
	addr := serveTLS(t, in)

	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	cfg := func(certs []tls.Certificate) *tls.Config { return &tls.Config{RootCAs: roots, Certificates: certs} }

	good := cfg(ca.client("good", x509.ExtKeyUsageClientAuth, soon))
	resp, err := getTLS(addr, "/_ping", good)
	assert.NilError(t, err)
	assert.Equal(t, resp.StatusCode, 200)
	assert.Equal(t, resp.Proto, "HTTP/1.1") // although this client offers h2
	resp, err = getTLS(addr, "/jobs", good)
	assert.NilError(t, err)
	assert.Equal(t, resp.StatusCode, 200)

	for name, bad := range map[string]*tls.Config{
		"no certificate":      cfg(nil),
		"another CA":          cfg(other.client("other", x509.ExtKeyUsageClientAuth, soon)),
		"expired":             cfg(ca.client("expired", x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Minute))),
		"a server's":          cfg(ca.client("server2", x509.ExtKeyUsageServerAuth, soon)),
		"TLS 1.1, good cert.": {RootCAs: roots, Certificates: good.Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
	} {
		_, err := getTLS(addr, "/_ping", bad)
		assert.Check(t, err != nil, name)
	}
	resp, err = http.Get("http://" + addr + "/_ping")
	if err == nil {
		resp.Body.Close()
		assert.Equal(t, resp.StatusCode, 400) // net/http's own words to plain requests
	}
}

func TestTLSWithoutVerificationDoesNotOpenTheDynamicDoor(t *testing.T) {
	ca := newAuthority(t, "ours")
	var in jobs.ServeAPIIn
	in.TLS = true
	in.TLSCert, in.TLSKey = ca.issue("server", x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	addr := serveTLS(t, in)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	cfg := &tls.Config{RootCAs: roots, Certificates: ca.client("c", x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))}
	resp, err := getTLS(addr, "/_ping", cfg)
	assert.NilError(t, err)
	assert.Equal(t, resp.StatusCode, 200)
	resp, err = getTLS(addr, "/jobs", cfg)
	assert.NilError(t, err)
	assert.Equal(t, resp.StatusCode, 403)
}

func TestTLSNeedsItsFiles(t *testing.T) {
	for _, in := range []jobs.ServeAPIIn{
		{TLS: true},
		{TLSVerify: true, TLSCert: "/nonexistent", TLSKey: "/nonexistent"},
		{TLSVerify: true, TLSCA: "/nonexistent", TLSCert: "/nonexistent", TLSKey: "/nonexistent"},
	} {
		in.Addresses = []string{"tcp://127.0.0.1:0"}
		assert.ErrorContains(t, serveOnce(t, in), "listen on tcp://127.0.0.1:0: ")
	}
}

func TestTCPAddressesAreCompleted(t *testing.T) {
	for _, row := range []struct {
		in   string
		tls  bool
		want string
	}{
		{"", false, "127.0.0.1:2375"}, {"", true, "127.0.0.1:2376"}, {":4711", false, "127.0.0.1:4711"},
		{"10.0.0.1", true, "10.0.0.1:2376"}, {"[::1]:5", false, "[::1]:5"}, {"::1", false, "[::1]:2375"},
		{"localhost:0/", false, "localhost:0"},
	} {
		got, err := completeTCP(row.in, row.tls)
		assert.NilError(t, err)
		assert.Equal(t, got, row.want)
	}
	_, err := completeTCP("h:"+strconv.Itoa(1<<16), false)
	assert.Check(t, err != nil)
}

func TestStreamsWorkOverTCPAndTLS(t *testing.T) {
	ca := newAuthority(t, "ours")
	soon := time.Now().Add(time.Hour)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	secure := jobs.ServeAPIIn{TLSVerify: true, TLSCA: filepath.Join(ca.dir, "ca.pem")}
	secure.TLSCert, secure.TLSKey = ca.issue("server", x509.ExtKeyUsageServerAuth, soon)
	client := &tls.Config{RootCAs: roots, Certificates: ca.client("c", x509.ExtKeyUsageClientAuth, soon)}
	for name, in := range map[string]jobs.ServeAPIIn{"tcp": {}, "tls": secure} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan bool)
			eng := engine.New()
			jobs.Attach.Register(eng, func(ctx context.Context, job *engine.StreamJob[jobs.AttachOpen], in jobs.AttachIn) (jobs.AttachOut, error) {
				job.Open(jobs.AttachOpen{Tty: true})
				io.Copy(job.Stdout, job.Stdin)
				if in.Container == "stays" {
					<-ctx.Done()
					close(gone)
				}
				io.WriteString(job.Stdout, "end")
				return jobs.AttachOut{}, nil
			})
			addr := serveTCP(t, in, eng)
			attach := func(container string) net.Conn {
				var conn net.Conn
				var err error
				if in.TLSVerify {
					conn, err = tls.Dial("tcp", addr, client)
				} else {
					conn, err = net.Dial("tcp", addr)
				}
				assert.NilError(t, err)
				conn.SetDeadline(time.Now().Add(patience))
				_, err = io.WriteString(conn, "POST /containers/"+container+"/attach HTTP/1.1\r\nHost: "+addr+"\r\n"+upgrade+"\r\ntyped")
				assert.NilError(t, err)
				assert.NilError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
				return conn
			}
			conn := attach("web")
			defer conn.Close()
			all, err := io.ReadAll(conn)
			assert.NilError(t, err)
			assert.Check(t, strings.HasPrefix(string(all), "HTTP/1.1 101 "), "%s", all)
			assert.Check(t, strings.HasSuffix(string(all), "typedend"), "%s", all)
			if in.TLSVerify { // plain TCP would tell after some keep-alives only
				attach("stays").Close()
				<-gone
			}
		})
	}
}
