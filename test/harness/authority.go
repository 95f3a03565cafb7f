package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// Certificate has its key with it.
type Certificate struct {
	*x509.Certificate
	Key *ecdsa.PrivateKey
}

// Authority makes a certificate that signs others.
func Authority(name string) (*Certificate, error) {
	return (*Certificate)(nil).Issue(func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = nil
	})
}

// Issue makes a certificate, for servers and clients and for two days, that
// change may spoil. Nil signs it with itself.
func (i *Certificate) Issue(change func(*x509.Certificate)) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    now.Add(-48 * time.Hour),
		NotAfter:     now.Add(48 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(c)
	parent, signer := c, key
	if i != nil {
		parent, signer = i.Certificate, i.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	made, err := x509.ParseCertificate(der)
	return &Certificate{made, key}, err
}

// For makes change name addresses.
func For(addresses ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, a := range addresses {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
		}
	}
}

// Pair is what a server shows.
func (i *Certificate) Pair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.Raw}, PrivateKey: i.Key, Leaf: i.Certificate}
}

// Save writes the certificate and, if there is a name for it, the key.
func (i *Certificate) Save(cert, key string) error {
	err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Raw}), 0o600)
	if err != nil || key == "" {
		return err
	}
	der, err := x509.MarshalECPrivateKey(i.Key)
	if err != nil {
		return err
	}
	return os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
