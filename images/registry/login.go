package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/internal/reference"
)

// ServerDomain gives the registry that a server address, as people write it to
// login, is about.
func ServerDomain(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://")
	domain, _, _ := strings.Cut(address, "/")
	switch domain {
	case "", hubSearch, hubHost, "registry.hub.docker.com":
		return hub
	}
	return domain
}

// meantFor tells whether credentials are for a registry. Those that name
// another one stay here (CVE-2021-41092); those that name none are for whom the
// caller sends them to.
func meantFor(creds *registry.AuthConfig, domain string) bool {
	return creds == nil || creds.ServerAddress == "" || ServerDomain(creds.ServerAddress) == domain
}

// Login asks the registry whether credentials are good. identity is a token that
// stands for them from now on, if the registry's token service gives such.
func (c *Client) Login(ctx context.Context, creds registry.AuthConfig) (identity string, err error) {
	domain := ServerDomain(creds.ServerAddress)
	var last error
	for _, at := range c.endpoints(ctx, domain, false) {
		identity, err := c.loginAt(ctx, at, creds)
		if err == nil {
			return identity, nil
		}
		last = err
		if ctx.Err() != nil || !plainMayDo(err) {
			break
		}
	}
	return "", last
}

func (c *Client) loginAt(ctx context.Context, at endpoint, creds registry.AuthConfig) (string, error) {
	named, err := reference.ParseNormalizedNamed("x/login")
	if err != nil {
		return "", err
	}
	r, err := c.open(ctx, named, at, &creds, "")
	if err != nil {
		return "", err
	}
	defer r.Close()
	r.auth.offline = true
	resp, err := r.do(ctx, request{method: http.MethodGet, url: at.base()})
	if err != nil {
		if e := refusalOf(err); e != nil {
			var token *url.Error
			switch {
			case e.Status != http.StatusUnauthorized && e.Code != codeUnauthorized:
			case errors.As(err, &token): // it is the token service that says no
				return "", unauthorized("Get %q: %w", at.base(), e)
			default:
				return "", unauthorized("login attempt to %s failed with status: %d %s", at.base(), e.Status, http.StatusText(e.Status))
			}
		}
		return "", err
	}
	drain(resp)
	return r.auth.identity, nil
}
