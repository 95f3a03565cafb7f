package api

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// DefaultHost is where a daemon listens when nobody says otherwise.
const DefaultHost = "unix:///run/engine.sock"

// Endpoint says where a daemon is and how to speak to it.
type Endpoint struct {
	// Host is a URL: unix:///path, tcp://host:port[/prefix] or ssh://[user@]host[:port].
	Host string
	// TLS makes a tcp endpoint speak TLS; nil is plain.
	TLS *tls.Config
}

// ParseHost completes what a user may write for a host: "" is the default
// socket (or the default TLS port), "example:2375" is tcp, a missing port or
// path gets its default.
func ParseHost(host string, tls bool) (string, error) {
	host = strings.TrimSpace(host)
	if host == "" {
		if tls {
			return "tcp://127.0.0.1:2376", nil
		}
		return DefaultHost, nil
	}
	proto, addr, found := strings.Cut(host, "://")
	if !found {
		proto, addr = "tcp", host
	}
	switch proto {
	case "unix":
		if strings.Contains(addr, "://") {
			return "", fmt.Errorf("invalid proto, expected unix: %s", addr)
		}
		if addr == "" {
			return DefaultHost, nil
		}
		return "unix://" + addr, nil
	case "tcp", "http", "https":
		return parseTCP(addr, tls || proto == "https")
	case "ssh":
		return host, checkSSH(host)
	}
	return "", fmt.Errorf("invalid bind address format: %s", host)
}

// checkSSH wants ssh://[user@]host[:port][/path of the socket there].
func checkSSH(host string) error {
	u, err := url.Parse(host)
	if err != nil {
		return err
	}
	if _, hasPassword := u.User.Password(); hasPassword {
		return fmt.Errorf("ssh host connection is not valid: plain-text password is not supported: %s", u.Redacted())
	}
	if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("ssh host connection is not valid: %s", host)
	}
	return nil
}

func parseTCP(addr string, tls bool) (string, error) {
	port := "2375"
	if tls {
		port = "2376"
	}
	if addr == "" {
		return "tcp://127.0.0.1:" + port, nil
	}
	if strings.Contains(addr, "://") {
		return "", fmt.Errorf("invalid proto, expected tcp: %s", addr)
	}
	u, err := url.Parse("tcp://" + addr)
	if err != nil {
		return "", err
	}
	host := u.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n > 65535 {
			return "", fmt.Errorf("invalid bind address format: %s", addr)
		}
		port = p
	}
	return "tcp://" + net.JoinHostPort(host, port) + u.Path, nil
}

// dialer returns how to open a raw connection to the endpoint, TLS included,
// and the path prefix that a tcp host may carry.
func (e Endpoint) dialer() (dial func(context.Context) (net.Conn, error), prefix string, err error) {
	proto, addr, _ := strings.Cut(e.Host, "://")
	switch proto {
	case "unix":
		return func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", addr)
		}, "", nil
	case "tcp":
		addr, path, found := strings.Cut(addr, "/")
		if found {
			prefix = "/" + strings.TrimSuffix(path, "/")
		}
		return func(ctx context.Context) (net.Conn, error) {
			if e.TLS != nil {
				d := tls.Dialer{Config: e.TLS}
				return d.DialContext(ctx, "tcp", addr)
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}, prefix, nil
	case "ssh":
		return func(ctx context.Context) (net.Conn, error) { return dialSSH(ctx, e.Host) }, "", nil
	}
	return nil, "", fmt.Errorf("unable to parse docker host `%s`", e.Host)
}
