package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// DefaultContext is the name of what flags and environment describe.
const DefaultContext = "default"

// Context is a named daemon that the user stored with `docker context create`.
type Context struct {
	Name string
	Host string
	TLS  *tls.Config // nil: plain
}

// FindContext reads a context from below dir ("contexts/meta" and "contexts/tls").
func FindContext(dir, name string) (Context, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if err != nil {
		return Context{}, fmt.Errorf("context %q: context not found: %w", name, err)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return Context{}, fmt.Errorf("context %q: %w", name, err)
	}
	endpoint, ok := meta.Endpoints["docker"]
	if !ok {
		return Context{}, fmt.Errorf("docker endpoint not found in context %q", name)
	}
	files := filepath.Join(dir, "contexts", "tls", id, "docker")
	ctx := Context{Name: name, Host: endpoint.Host}
	if _, err := os.Stat(files); err == nil || endpoint.SkipTLSVerify {
		ctx.TLS, err = TLS(!endpoint.SkipTLSVerify,
			filepath.Join(files, "ca.pem"), filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem"))
		if err != nil {
			return Context{}, fmt.Errorf("context %q: %w", name, err)
		}
	}
	return ctx, nil
}

// TLS makes a client's settings. To verify it needs the CA's file; without
// files for them no certificate is shown.
func TLS(verify bool, ca, cert, key string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !verify}
	if verify {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", ca)
		}
	}
	_, certErr := os.Stat(cert)
	_, keyErr := os.Stat(key)
	if certErr == nil || keyErr == nil {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("could not load X509 key pair (cert: %q, key: %q): %w", cert, key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
