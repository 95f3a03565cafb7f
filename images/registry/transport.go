package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/internal/reference"
)

// Repository is one caller's view of one repository at one host. Close it.
type Repository struct {
	client *Client
	named  reference.Named
	at     endpoint
	auth   *authorizer
	scope  string // of tokens

	own     *http.Transport
	mu      sync.Mutex
	foreign map[string]*http.Transport
}

// Name is the repository as references have it.
func (r *Repository) Name() reference.Named { return r.named }

// Mirror says that this is not the registry itself.
func (r *Repository) Mirror() bool { return r.at.mirror }

// Host is where it is.
func (r *Repository) Host() string { return r.at.host }

// Close ends idle connections.
func (r *Repository) Close() {
	r.own.CloseIdleConnections()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.foreign {
		t.CloseIdleConnections()
	}
}

// The things that a Repository is opened for.
const (
	ActionPull = "pull"
	ActionPush = "pull,push"
)

// errSettled wraps an error that no other endpoint could cure.
type errSettled struct{ error }

func (e errSettled) Unwrap() error { return e.error }

// Settled marks an error of a try that is not to be repeated at another endpoint.
func Settled(err error) error {
	if err == nil {
		return nil
	}
	return errSettled{err}
}

// Each opens the repository at one endpoint after the other until try succeeds:
// mirrors (only for pulls) first, then the registry itself. The error is the
// registry's own.
func (c *Client) Each(ctx context.Context, named reference.Named, creds *registry.AuthConfig, action string, try func(*Repository) error) error {
	var last error
	for _, at := range c.endpoints(ctx, Domain(named), action == ActionPull) {
		own := creds
		if at.mirror || !meantFor(creds, Domain(named)) {
			own = nil // they are for somebody else
		}
		repo, err := c.open(ctx, named, at, own, action)
		if err == nil {
			err = try(repo)
			repo.Close()
			var settled errSettled
			if err == nil || !at.mirror || ctx.Err() != nil || errors.As(err, &settled) {
				if errors.As(err, &settled) {
					return settled.error
				}
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		last = err
		if err != nil && !at.mirror && at.scheme == "https" && !plainMayDo(err) {
			break
		}
	}
	return last
}

// plainMayDo tells whether plain HTTP could get further than the failed https.
func plainMayDo(err error) bool {
	var refused *Error
	return !errors.As(err, &refused) && !errors.Is(err, errNoBasic)
}

// open reaches an endpoint and learns what it asks for.
func (c *Client) open(ctx context.Context, named reference.Named, at endpoint, creds *registry.AuthConfig, action string) (*Repository, error) {
	own, err := c.transport(at.host, at.insecure, true)
	if err != nil {
		return nil, err
	}
	r := &Repository{client: c, named: named, at: at, auth: newAuthorizer(creds), own: own, foreign: map[string]*http.Transport{}}
	if action != "" {
		r.scope = "repository:" + Path(named) + ":" + action
	}
	r.auth.insecure = at.insecure
	r.auth.exchange = func(req *http.Request) (*http.Response, error) {
		req.Header.Set("User-Agent", c.UserAgent)
		return roundTrip(r.transportFor(req.URL), req)
	}
	if err := r.ping(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// ping asks for the root of the API: whoever answers is a registry.
func (r *Repository) ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.at.base(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", r.client.UserAgent)
	resp, err := roundTrip(r.own, req)
	if err != nil {
		return &url.Error{Op: "Get", URL: r.at.base(), Err: err}
	}
	drain(resp)
	r.auth.learn(resp.Header)
	return nil
}

// roundTrip says in plain words that the other side speaks no TLS.
func roundTrip(t *http.Transport, req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTrip(req)
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		err = http.ErrSchemeMismatch
	}
	return resp, err
}

// drain reads a short answer to its end, so that the connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
}

// url makes the address of a thing in the repository.
func (r *Repository) url(parts ...string) string {
	return r.at.base() + Path(r.named) + "/" + strings.Join(parts, "/")
}

// home tells whether a URL is the registry's own: only it is shown credentials.
func (r *Repository) home(u *url.URL) bool {
	return u.Scheme == r.at.scheme && u.Host == r.at.host
}

// transportFor gives what reaches a URL. Another host has its own certificates,
// and does not get to see ours.
func (r *Repository) transportFor(u *url.URL) *http.Transport {
	if r.home(u) {
		return r.own
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.foreign[u.Host]
	if t == nil {
		var err error
		if t, err = r.client.transport(u.Host, r.at.insecure, false); err != nil {
			t = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, ResponseHeaderTimeout: 90 * time.Second, TLSHandshakeTimeout: 15 * time.Second}
		}
		r.foreign[u.Host] = t
	}
	return t
}

// request is one that can be made again.
type request struct {
	method string
	url    string
	header http.Header
	scope  string // instead of the repository's
	// body, if not nil, is called for each attempt; then there is only one, but
	// for credentials that were not known.
	body   func() (io.Reader, error)
	length int64 // of the body; -1 is not known
	bare   bool  // goes out without credentials
}

// do makes a request and follows it to where the answer is. A status from 400 is
// an error. A busy registry is asked again, and one whose connection broke
// before it had answered.
func (r *Repository) do(ctx context.Context, q request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := r.authorized(ctx, q)
		after, busy := IsBusy(err)
		safe := q.method == http.MethodGet || q.method == http.MethodHead
		if !busy && !(safe && broken(err)) || attempt >= r.client.Attempts || q.body != nil {
			return resp, err
		}
		if err := pause(ctx, max(after, backoff(r.client.Wait, attempt))); err != nil {
			return nil, err
		}
	}
}

// whole makes a request for something small and reads at most max bytes of the
// answer. An answer that breaks off is asked for again.
func (r *Repository) whole(ctx context.Context, q request, max int64) (*http.Response, []byte, error) {
	for attempt := 1; ; attempt++ {
		resp, err := r.do(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(io.LimitReader(resp.Body, max))
		resp.Body.Close()
		if err == nil || !broken(err) || attempt >= r.client.Attempts {
			return resp, data, err
		}
		if err := pause(ctx, backoff(r.client.Wait, attempt)); err != nil {
			return nil, nil, err
		}
	}
}

// broken tells whether a connection was there and ended without all of an answer.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// backoff doubles the wait with each attempt, up to half a minute, and scatters it.
func backoff(first time.Duration, attempt int) time.Duration {
	d := min(first<<(min(attempt, 10)-1), 30*time.Second)
	return d + rand.N(d/4+1)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// authorized makes a request, and once more with what the registry asked for.
func (r *Repository) authorized(ctx context.Context, q request) (*http.Response, error) {
	refused := ""
	for try := 0; ; try++ {
		resp, err := r.follow(ctx, q, refused)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 400 {
			return resp, nil
		}
		if resp.StatusCode == http.StatusUnauthorized && try == 0 && !q.bare && r.home(resp.Request.URL) && r.auth.learn(resp.Header) {
			drain(resp)
			refused = resp.Request.Header.Get("Authorization")
			continue
		}
		return nil, errorFrom(resp)
	}
}

const maxRedirects = 10

// errUnsafeRedirect refuses to go on without TLS where it was there before.
var errUnsafeRedirect = errors.New("the registry redirects from https to http")

// follow makes the request and goes where redirects lead.
func (r *Repository) follow(ctx context.Context, q request, refused string) (*http.Response, error) {
	target, err := url.Parse(q.url)
	if err != nil {
		return nil, err
	}
	op := strings.ToUpper(q.method[:1]) + strings.ToLower(q.method[1:])
	for hops := 0; ; hops++ {
		var body io.Reader
		if q.body != nil {
			if body, err = q.body(); err != nil {
				return nil, err
			}
		}
		req, err := http.NewRequestWithContext(ctx, q.method, target.String(), body)
		if err != nil {
			return nil, err
		}
		if q.body != nil {
			req.ContentLength = q.length
		}
		for key, values := range q.header {
			req.Header[key] = values
		}
		req.Header.Set("User-Agent", r.client.UserAgent)
		if r.home(target) && !q.bare {
			scope := r.scope
			if q.scope != "" {
				scope = q.scope
			}
			text, err := r.auth.header(ctx, scope, refused)
			if err != nil {
				return nil, withoutQuery(&url.Error{Op: op, URL: target.String(), Err: err})
			}
			if text != "" {
				req.Header.Set("Authorization", text)
			}
		}
		resp, err := roundTrip(r.transportFor(target), req)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, withoutQuery(&url.Error{Op: op, URL: target.String(), Err: err})
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusSeeOther:
		default:
			return resp, nil
		}
		drain(resp)
		next, err := target.Parse(resp.Header.Get("Location"))
		switch {
		case err != nil || resp.Header.Get("Location") == "" || next.Host == "":
			return nil, errors.New("the registry redirects to nowhere")
		case next.Scheme != "https" && next.Scheme != "http":
			return nil, fmt.Errorf("the registry redirects to a %q URL", next.Scheme)
		case next.Scheme == "http" && target.Scheme == "https" && !r.at.insecure:
			return nil, errUnsafeRedirect
		case hops == maxRedirects:
			return nil, fmt.Errorf("the registry redirects more than %d times", maxRedirects)
		}
		next.User = nil
		target = next
	}
}

// IsUnreachable tells whether nobody was there to be spoken to.
func IsUnreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
