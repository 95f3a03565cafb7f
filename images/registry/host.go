package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
)

// The hub's names: what references say, where its API is, and where credentials
// of it are kept.
const (
	hub          = "docker.io"
	hubHost      = "registry-1.docker.io"
	hubSearch    = "index.docker.io"
	HubServer    = "https://index.docker.io/v1/"
	hubCertsName = "docker.io"
)

// Config is what a Client is made with.
type Config struct {
	// Insecure names registries ("host:port") and networks (CIDRs) that may
	// speak plain HTTP or show certificates that nobody vouches for.
	// 127.0.0.0/8 and ::1 are always among them.
	Insecure []string
	// Mirrors are the base URLs of mirrors, by the registry that they mirror.
	Mirrors map[string][]string
	// CertDirs have a folder HOST[:PORT] for registries with certificates of
	// their own: *.crt are authorities, NAME.cert and NAME.key are the client's.
	// Nil is DefaultCertDirs.
	CertDirs []string
	// UserAgent is what requests say they come from.
	UserAgent string
	// Attempts is how often a request is made that a busy registry refuses; 0 is 5.
	Attempts int
	// Notice is told in a sentence of connections that an operator wants to know
	// of; nil is nobody.
	Notice func(string)
	// Wait is the first pause between two of them, doubled each time; 0 is half a second.
	Wait time.Duration
}

// DefaultCertDirs are where certificates of registries are looked for.
var DefaultCertDirs = []string{"/etc/engine/certs.d", "/etc/docker/certs.d"}

// Client reaches registries.
type Client struct {
	Config
	names []string       // insecure by name
	nets  []netip.Prefix // and by network
}

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if cfg.CertDirs == nil {
		cfg.CertDirs = DefaultCertDirs
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 5
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 500 * time.Millisecond
	}
	c := &Client{Config: cfg, nets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	for _, text := range cfg.Insecure {
		if network, err := netip.ParsePrefix(text); err == nil {
			c.nets = append(c.nets, network.Masked())
			continue
		}
		if strings.Contains(text, "://") || strings.HasPrefix(text, "-") || text == "" || strings.Contains(text, "/") {
			return nil, errs.Invalid("insecure registry %s should not contain a scheme or a path: it is HOST[:PORT] or a CIDR", text)
		}
		c.names = append(c.names, text)
	}
	for name, mirrors := range cfg.Mirrors {
		for i, text := range mirrors {
			base, err := mirrorURL(text)
			if err != nil {
				return nil, fmt.Errorf("mirror of %s: %w", name, err)
			}
			mirrors[i] = base
		}
	}
	return c, nil
}

// mirrorURL checks the address of a mirror and ends it with a slash.
func mirrorURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errs.Invalid("invalid mirror: %q is not a valid URI", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errs.Invalid("invalid mirror: unsupported scheme %q in %q", u.Scheme, text)
	case u.RawQuery != "" || u.Fragment != "":
		return "", errs.Invalid("invalid mirror: query or fragment at end of the URI %q", text)
	case u.User != nil:
		return "", errs.Invalid("invalid mirror: username/password not allowed in URI %q", u.Redacted())
	case u.Host == "":
		return "", errs.Invalid("invalid mirror: %q names no host", text)
	}
	return strings.TrimSuffix(text, "/") + "/", nil
}

// InsecureNetworks and InsecureNames are for those who ask what is configured.
func (c *Client) InsecureNetworks() []netip.Prefix { return c.nets }

// InsecureNames are the registries that are insecure by name.
func (c *Client) InsecureNames() []string { return c.names }

// Domain is the registry of a name, as references have it; Path is the rest.
func Domain(named reference.Named) string {
	domain, _, _ := strings.Cut(named.Name(), "/")
	return domain
}

// Path is a name without its registry.
func Path(named reference.Named) string {
	_, path, _ := strings.Cut(named.Name(), "/")
	return path
}

// endpoint is a place where a repository may be found.
type endpoint struct {
	scheme   string
	host     string // with the port, if any
	path     string // of a mirror, without slashes around it
	mirror   bool
	insecure bool
}

func (e endpoint) base() string {
	base := e.scheme + "://" + e.host + "/"
	if e.path != "" {
		base += e.path + "/"
	}
	return base + "v2/"
}

// endpoints gives the places to try, in order.
func (c *Client) endpoints(ctx context.Context, domain string, mirrors bool) []endpoint {
	var all []endpoint
	if mirrors {
		for _, text := range c.Mirrors[domain] {
			u, err := url.Parse(text)
			if err != nil {
				continue // New has looked
			}
			all = append(all, endpoint{
				scheme: u.Scheme, host: u.Host, path: strings.Trim(u.Path, "/"), mirror: true,
				insecure: u.Scheme == "http" || c.insecure(ctx, u.Host),
			})
		}
	}
	host := domain
	if domain == hub {
		host = hubHost
	}
	insecure := domain != hub && c.insecure(ctx, domain)
	all = append(all, endpoint{scheme: "https", host: host, insecure: insecure})
	if insecure {
		all = append(all, endpoint{scheme: "http", host: host, insecure: true})
	}
	return all
}

// insecure tells whether a host may go without a certificate that holds.
func (c *Client) insecure(ctx context.Context, host string) bool {
	if slices.Contains(c.names, host) {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	for _, addr := range addressesOf(ctx, name) {
		if slices.ContainsFunc(c.nets, func(n netip.Prefix) bool { return n.Contains(addr) }) {
			return true
		}
	}
	return false
}

func addressesOf(ctx context.Context, name string) []netip.Addr {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr.Unmap()}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil
	}
	for i, addr := range found {
		found[i] = addr.Unmap()
	}
	return found
}

// transport makes connections to a host: its certificates, its proxies.
// withKeys says that the client's own certificates may be shown to it.
func (c *Client) transport(host string, insecure, withKeys bool) (*http.Transport, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}
	if err := c.certificates(conf, host, withKeys); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: c.noticed(host)}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  90 * time.Second,
		IdleConnTimeout:        30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		MaxIdleConnsPerHost:    8,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        64 << 10,
		TLSClientConfig:        conf,
		// HTTP/1.1, as Docker: each layer has a connection of its own, and a server that does not want
		// our certificate says so, where HTTP/2 knows only that there is no connection.
		ForceAttemptHTTP2:  false,
		DisableCompression: true, // what has a digest arrives as it is
	}, nil
}

// noticed tells of connections to addresses where clouds have the secrets of
// their machines. An image's name and a registry's redirect can lead there.
func (c *Client) noticed(host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err == nil && isMetadata(at.Addr()) && c.Notice != nil {
			c.Notice(fmt.Sprintf("a registry's request for %q goes to the address %s of this network's own services", shorten(host), at.Addr()))
		}
		return nil
	}
}

// isMetadata knows link-local addresses and the one that Amazon has besides.
func isMetadata(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLinkLocalUnicast() || a == netip.MustParseAddr("fd00:ec2::254") || a == netip.MustParseAddr("100.100.100.200")
}

// certificates reads what certs.d has for a host.
func (c *Client) certificates(conf *tls.Config, host string, withKeys bool) error {
	names := []string{host}
	if host == hubHost {
		names = append(names, hubCertsName)
	}
	for _, dir := range c.CertDirs {
		for _, name := range names {
			if err := addCertificates(conf, filepath.Join(dir, filepath.Base(name)), withKeys); err != nil {
				return err
			}
		}
	}
	return nil
}

func addCertificates(conf *tls.Config, dir string, withKeys bool) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			return nil
		}
		return err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(files, func(f fs.DirEntry) bool { return f.Name() == name })
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		switch filepath.Ext(f.Name()) {
		case ".crt":
			if conf.RootCAs == nil {
				if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
					conf.RootCAs = x509.NewCertPool()
				}
			}
			pem, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			conf.RootCAs.AppendCertsFromPEM(pem)
		case ".cert":
			key := strings.TrimSuffix(f.Name(), ".cert") + ".key"
			if !has(key) {
				return fmt.Errorf("missing key %s for client certificate %s. CA certificates must use the extension .crt", key, f.Name())
			}
			if !withKeys {
				continue
			}
			pair, err := tls.LoadX509KeyPair(path, filepath.Join(dir, key))
			if err != nil {
				return err
			}
			conf.Certificates = append(conf.Certificates, pair)
		case ".key":
			cert := strings.TrimSuffix(f.Name(), ".key") + ".cert"
			if !has(cert) {
				return fmt.Errorf("missing client certificate %s for key %s", cert, f.Name())
			}
		}
	}
	return nil
}
