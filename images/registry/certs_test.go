package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// issuer signs certificates; nil signs them with themselves.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate for 127.0.0.1 that a change may spoil.
func (i *issuer) issue(t *testing.T, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    now.Add(-48 * time.Hour),
		NotAfter:     now.Add(48 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if i != nil {
		parent, signer = i.cert, i.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	assert.NilError(t, err)
	made, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	return &issuer{made, key}
}

func newAuthority(t *testing.T) *issuer {
	return (*issuer)(nil).issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName = "authority"
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
		c.ExtKeyUsage, c.IPAddresses = nil, nil
	})
}

func (i *issuer) pair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key, Leaf: i.cert}
}

// save writes the certificate and, if there is a name for it, the key.
func (i *issuer) save(t *testing.T, cert, key string) {
	t.Helper()
	write := func(path, kind string, der []byte) {
		assert.NilError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write(cert, "CERTIFICATE", i.cert.Raw)
	if key != "" {
		der, err := x509.MarshalECPrivateKey(i.key)
		assert.NilError(t, err)
		write(key, "EC PRIVATE KEY", der)
	}
}

// tlsRegistry serves one tag with a certificate.
func tlsRegistry(t *testing.T, shown *issuer, change func(*tls.Config)) (host string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"tags":["1"]}`)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{shown.pair()}}
	if change != nil {
		change(srv.TLS)
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "https://")
}

// certsDir is a certs.d with the authority for a host.
func certsDir(t *testing.T, host string, ca *issuer) (dir, own string) {
	t.Helper()
	dir = t.TempDir()
	own = filepath.Join(dir, host)
	assert.NilError(t, os.Mkdir(own, 0o700))
	ca.save(t, filepath.Join(own, "ca.crt"), "")
	return dir, own
}

// Each row is a certificate that does not hold although its authority may be
// known, with the words that say why; for an insecure registry it does.
func TestCertificatesThatDoNotHoldAreNamed(t *testing.T) {
	ca := newAuthority(t)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-24 * time.Hour) }
	for name, row := range map[string]struct {
		shown *issuer
		want  string
	}{
		"expired":       {ca.issue(t, past), "x509: certificate has expired or is not yet valid: current time "},
		"not yet valid": {ca.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) }), "x509: certificate has expired or is not yet valid: current time "},
		"self-signed":   {(*issuer)(nil).issue(t, nil), "x509: certificate signed by unknown authority"},
		"somebody else's": {ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)} }),
			"x509: certificate is valid for 127.0.0.9, not 127.0.0.1"},
		"no address": {ca.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"registry.example"} }),
			"x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"},
		"of another authority": {newAuthority(t).issue(t, nil), "x509: certificate signed by unknown authority"},
		"for clients only":     {ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), "x509: certificate specifies an incompatible key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			host := tlsRegistry(t, row.shown, nil)
			dir, _ := certsDir(t, host, ca)
			_, err := strict(t, Config{CertDirs: []string{dir}}).tags(t, host)
			assert.ErrorContains(t, err, `Get "https://`+host+`/v2/": tls: failed to verify certificate: `+row.want)
			all, err := strict(t, Config{CertDirs: []string{dir}, Insecure: []string{host}}).tags(t, host)
			assert.NilError(t, err)
			assert.DeepEqual(t, all, []string{"1"})
		})
	}
	good := tlsRegistry(t, ca.issue(t, nil), nil)
	dir, _ := certsDir(t, good, ca)
	all, err := strict(t, Config{CertDirs: []string{dir}}).tags(t, good)
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []string{"1"})
}

// A registry that asks for the client's certificate gets that of certs.d; a
// host that the registry redirects to does not.
func TestClientCertificatesComeFromCertsD(t *testing.T) {
	ca, clients := newAuthority(t), newAuthority(t)
	me := clients.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = "me" })
	asks := func(how tls.ClientAuthType) func(*tls.Config) {
		return func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = how, x509.NewCertPool()
			c.ClientCAs.AddCert(clients.cert)
		}
	}
	host := tlsRegistry(t, ca.issue(t, nil), asks(tls.RequireAndVerifyClientCert))
	dir, own := certsDir(t, host, ca)
	client := func() *Client { return strict(t, Config{CertDirs: []string{dir}}) }
	_, err := client().tags(t, host)
	assert.ErrorContains(t, err, "remote error: tls: certificate required")

	newAuthority(t).issue(t, nil).save(t, filepath.Join(own, "client.cert"), filepath.Join(own, "client.key"))
	_, err = client().tags(t, host)
	assert.ErrorContains(t, err, "remote error: tls: ") // which alert depends on the server

	me.save(t, filepath.Join(own, "client.cert"), filepath.Join(own, "client.key"))
	all, err := client().tags(t, host)
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []string{"1"})

	assert.NilError(t, os.Remove(filepath.Join(own, "client.cert")))
	_, err = client().tags(t, host)
	assert.ErrorContains(t, err, "missing client certificate client.cert for key client.key")
	assert.NilError(t, os.WriteFile(filepath.Join(own, "client.cert"), []byte("nonsense"), 0o600))
	_, err = client().tags(t, host)
	assert.ErrorContains(t, err, "tls: failed to find any PEM data in certificate input")
	me.save(t, filepath.Join(own, "client.cert"), "")

	// Another host does not get to see it, not even with a folder of its own.
	seen := make(chan int, 1)
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- len(r.TLS.PeerCertificates)
		fmt.Fprint(w, `{"tags":["2"]}`)
	}))
	other.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil).pair()}, ClientAuth: tls.RequestClientCert}
	other.StartTLS()
	t.Cleanup(other.Close)
	first := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		}
	}))
	first.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil).pair()}}
	asks(tls.RequireAndVerifyClientCert)(first.TLS)
	first.StartTLS()
	t.Cleanup(first.Close)
	for _, u := range []string{first.URL, other.URL} {
		own := filepath.Join(dir, strings.TrimPrefix(u, "https://"))
		assert.NilError(t, os.Mkdir(own, 0o700))
		ca.save(t, filepath.Join(own, "ca.crt"), "")
		me.save(t, filepath.Join(own, "client.cert"), filepath.Join(own, "client.key"))
	}
	all, err = client().tags(t, strings.TrimPrefix(first.URL, "https://"))
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []string{"2"})
	assert.Equal(t, <-seen, 0)
}
