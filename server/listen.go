package server

import (
	"crypto/tls"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/docker/go-connections/tlsconfig"
	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// binder binds the addresses of one serveapi.
type binder struct {
	in        jobs.ServeAPIIn
	log       *logrus.Logger
	tls       *tls.Config // made at the first TCP address
	activated []*os.File  // what systemd handed over, asked for once
}

func (b *binder) bind(address string) ([]*listener, error) {
	proto, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, errs.Invalid("not an address: want unix://PATH, tcp://HOST:PORT or fd://NAME")
	}
	switch proto {
	case "unix":
		l, err := b.bindUnix(rest)
		if err != nil {
			return nil, err
		}
		return []*listener{l}, nil
	case "tcp":
		l, err := b.bindTCP(rest)
		if err != nil {
			return nil, err
		}
		return []*listener{l}, nil
	case "fd":
		return b.bindActivated(rest)
	}
	return nil, errs.Invalid("unknown protocol %q: want unix, tcp or fd", proto)
}

func (b *binder) bindTCP(hostport string) (*listener, error) {
	hostport, err := completeTCP(hostport, b.in.TLS || b.in.TLSVerify)
	if err != nil {
		return nil, err
	}
	addr, err := net.ResolveTCPAddr("tcp", hostport)
	if err != nil {
		return nil, err
	}
	if err := b.refusePlain(addr); err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return nil, err
	}
	wrapped, err := b.wrapTCP(l)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &listener{Listener: wrapped, address: "tcp://" + l.Addr().String(), close: func() { l.Close() }}, nil
}

// completeTCP fills in a missing host (127.0.0.1) and port (2376 with TLS, else 2375).
func completeTCP(hostport string, withTLS bool) (string, error) {
	defaultPort := "2375"
	if withTLS {
		defaultPort = "2376"
	}
	hostport = strings.TrimSuffix(hostport, "/")
	if strings.Contains(hostport, "/") {
		return "", errs.Invalid("a path is not possible here")
	}
	if hostport == "" {
		return "127.0.0.1:" + defaultPort, nil
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), defaultPort
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errs.Invalid("invalid port %q", port)
	} else if n == 0 && port != "0" {
		return "", errs.Invalid("invalid port %q", port)
	}
	return net.JoinHostPort(host, port), nil
}

// refusePlain keeps the API, which is as good as root, off the network
// without TLS.
func (b *binder) refusePlain(addr *net.TCPAddr) error {
	if b.in.TLS || b.in.TLSVerify {
		return nil
	}
	if addr.IP.IsLoopback() {
		return nil
	}
	if !b.in.AllowPlain {
		return errs.Invalid("refused without TLS beyond loopback, because it would give root to whoever connects; use --tlsverify with --tlscacert, --tlscert and --tlskey, or --tls=false if you mean it")
	}
	b.log.Warnf("tcp://%s is open without TLS: whoever can reach it is root on this machine", addr)
	return nil
}

func (b *binder) wrapTCP(l net.Listener) (net.Listener, error) {
	l = capConnections(l, maxTCPConnections)
	if !b.in.TLS && !b.in.TLSVerify {
		return l, nil
	}
	if b.tls == nil {
		cfg, err := tlsConfig(b.in)
		if err != nil {
			return nil, err
		}
		b.tls = cfg
	}
	return tls.NewListener(l, b.tls), nil
}

func tlsConfig(in jobs.ServeAPIIn) (*tls.Config, error) {
	opts := tlsconfig.Options{
		CertFile: in.TLSCert,
		KeyFile:  in.TLSKey,
		// Only our own CA may vouch for a client, not those of the system.
		ExclusiveRootPools: true,
	}
	if in.TLSVerify {
		if in.TLSCA == "" {
			return nil, errs.Invalid("--tlsverify needs --tlscacert")
		}
		opts.CAFile = in.TLSCA
		opts.ClientAuth = tls.RequireAndVerifyClientCert
	}
	cfg, err := tlsconfig.Server(opts)
	if err != nil {
		return nil, errs.Invalid("TLS: %w", err)
	}
	cfg.MinVersion = tls.VersionTLS12
	cfg.NextProtos = []string{"http/1.1"}
	return cfg, nil
}

// bindActivated takes sockets that systemd has opened: all of them for "" and
// "*", one by its number (offset 3) or by its FileDescriptorName.
func (b *binder) bindActivated(which string) ([]*listener, error) {
	if b.activated == nil {
		b.activated = activation.Files(true)
	}
	if len(b.activated) == 0 {
		return nil, errs.Invalid("no sockets found via socket activation: make sure the service was started by systemd")
	}
	var out []*listener
	for i, f := range b.activated {
		if which != "" && which != "*" && which != strconv.Itoa(3+i) && which != f.Name() {
			continue
		}
		l, err := b.adopt(f)
		if err != nil {
			for _, l := range out {
				l.close()
			}
			return nil, err
		}
		out = append(out, l)
	}
	if len(out) == 0 {
		return nil, errs.Invalid("systemd passed no socket %q, only %d others", which, len(b.activated))
	}
	return out, nil
}

// done closes what systemd handed over: the listeners have descriptors of their own.
func (b *binder) done() {
	for _, f := range b.activated {
		f.Close()
	}
}

func (b *binder) adopt(f *os.File) (*listener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, errs.Invalid("descriptor %s is not a listening socket: %w", f.Name(), err)
	}
	switch l := l.(type) {
	case *net.TCPListener:
		if err := b.refusePlain(l.Addr().(*net.TCPAddr)); err != nil {
			l.Close()
			return nil, err
		}
		wrapped, err := b.wrapTCP(l)
		if err != nil {
			l.Close()
			return nil, err
		}
		return &listener{Listener: wrapped, address: "fd://" + f.Name(), close: func() { l.Close() }}, nil
	case *net.UnixListener:
		l.SetUnlinkOnClose(false) // the socket is systemd's
		return &listener{Listener: l, address: "fd://" + f.Name(), close: func() { l.Close() }}, nil
	}
	l.Close()
	return nil, errs.Invalid("descriptor %s is a socket of the kind %s", f.Name(), l.Addr().Network())
}
