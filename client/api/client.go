package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// MaxVersion is the newest API version this client speaks.
const MaxVersion = "1.56"

// oldestAnswer is what a daemon that names no version is taken to speak.
const oldestAnswer = "1.24"

// Client sends requests to one daemon. It is safe for concurrent use.
type Client struct {
	endpoint  Endpoint
	dial      func(context.Context) (net.Conn, error)
	prefix    string // path before the version, from tcp://host:port/prefix
	http      *http.Client
	header    http.Header
	mu        sync.Mutex
	version   string // "" until agreed
	userAgent string
	broken    error // why there is no client, see Broken
}

// Option changes a client at its making.
type Option func(*Client)

// WithVersion pins the API version instead of agreeing on one.
func WithVersion(v string) Option {
	return func(c *Client) { c.version = strings.TrimPrefix(v, "v") }
}

// WithHeader sends these with every request.
func WithHeader(h map[string]string) Option {
	return func(c *Client) {
		for k, v := range h {
			c.header.Set(k, v)
		}
	}
}

// WithUserAgent names the program that asks.
func WithUserAgent(name string) Option { return func(c *Client) { c.userAgent = name } }

// New makes a client; it does not connect yet.
func New(e Endpoint, opts ...Option) (*Client, error) {
	dial, prefix, err := e.dialer()
	if err != nil {
		return nil, err
	}
	c := &Client{endpoint: e, dial: dial, prefix: prefix, header: http.Header{}, userAgent: "engine"}
	transport := &http.Transport{
		DisableCompression:  true,
		MaxIdleConnsPerHost: 6,
	}
	if strings.HasPrefix(e.Host, "tcp://") {
		// net/http must see the real address and the TLS settings itself, or
		// a proxy from the environment could not be used.
		transport.Proxy = http.ProxyFromEnvironment
		transport.TLSClientConfig = e.TLS
	} else {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirected POST would lose its body: no daemon redirects.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, o := range opts {
		o(c)
	}
	return c, nil
}

// Host is the daemon's address as the user gave it, completed.
func (c *Client) Host() string { return c.endpoint.Host }

// Dial opens a raw connection to the daemon.
func (c *Client) Dial(ctx context.Context) (net.Conn, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, c.connectionError(err)
	}
	return conn, nil
}

// Version agrees with the daemon on the newest version both speak, once.
func (c *Client) Version(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return "", c.broken
	}
	if c.version != "" {
		return c.version, nil
	}
	theirs, err := c.ping(ctx)
	if err != nil {
		return "", err
	}
	c.version = older(theirs, MaxVersion)
	return c.version, nil
}

// ping asks which version the daemon speaks. A proxy may refuse HEAD, so that
// GET is tried after it.
func (c *Client) ping(ctx context.Context) (string, error) {
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		req, err := c.request(ctx, method, "/_ping", nil, nil)
		if err != nil {
			return "", err
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return "", c.connectionError(err)
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)) // lets the connection be used again
		resp.Body.Close()
		if v := resp.Header.Get("Api-Version"); v != "" {
			return v, nil
		}
		if resp.StatusCode == http.StatusOK {
			break
		}
	}
	return oldestAnswer, nil
}

// older returns the smaller of two versions; one that cannot be read is not smaller.
func older(a, b string) string {
	if Less(a, b) {
		return a
	}
	return b
}

// Less reports whether API version a is older than b, number by number.
func Less(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(as) || i < len(bs); i++ {
		x, y := part(as, i), part(bs, i)
		if x != y {
			return x < y
		}
	}
	return false
}

func part(s []string, i int) int {
	if i >= len(s) {
		return 0
	}
	n, err := strconv.Atoi(s[i])
	if err != nil {
		return 1 << 30
	}
	return n
}

// host is what stands in the request line's place of an authority. A unix
// socket has none; a fixed word keeps strict HTTP servers content.
func (c *Client) host() string {
	if rest, ok := strings.CutPrefix(c.endpoint.Host, "tcp://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return host
	}
	return "localhost"
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	u := url.URL{Scheme: "http", Host: c.host(), Path: c.prefix + path, RawQuery: query.Encode()}
	if c.endpoint.TLS != nil {
		u.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", c.userAgent)
	return req, nil
}

// Do sends one request and returns the response of a success; its body is the
// caller's to close. path begins after the version ("/containers/json"). body
// is nil, an io.Reader that is sent as it is, or anything else as JSON.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body any, header ...string) (*http.Response, error) {
	if noun := emptyName(path); noun != "" {
		return nil, fmt.Errorf("invalid %s name or ID: value is empty", noun)
	}
	version, err := c.Version(ctx)
	if err != nil {
		return nil, err
	}
	reader, kind, err := encode(body)
	if err != nil {
		return nil, err
	}
	req, err := c.request(ctx, method, "/v"+version+path, query, reader)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	} else if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.connectionError(err)
	}
	if resp.StatusCode >= 400 {
		return nil, errorFrom(resp, req.URL.String())
	}
	return resp, nil
}

// emptyName returns the kind of object that a path names by nothing:
// "container" of /containers//json and of /containers/. A name may begin with
// a slash, as in /containers//web/json.
func emptyName(path string) string {
	noun, rest, found := strings.Cut(strings.TrimPrefix(path, "/"), "s/")
	name, verb, hasVerb := strings.Cut(rest, "/")
	if found && name == "" && (!hasVerb || !strings.Contains(verb, "/")) {
		return noun
	}
	return ""
}

func encode(body any) (io.Reader, string, error) {
	switch b := body.(type) {
	case nil:
		return nil, "", nil
	case io.Reader:
		return b, "application/x-tar", nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, "", fmt.Errorf("encode request: %w", err)
	}
	return &buf, "application/json", nil
}

// Get decodes the JSON answer into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

// Post sends in as JSON unless it is nil, and decodes the answer unless out is nil.
func (c *Client) Post(ctx context.Context, path string, query url.Values, in, out any) error {
	return c.call(ctx, http.MethodPost, path, query, in, out)
}

// Delete decodes the answer unless out is nil.
func (c *Client) Delete(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodDelete, path, query, nil, out)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	resp, err := c.Do(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}

// Raw returns the answer's bytes and decodes them into out too.
func (c *Client) Raw(ctx context.Context, path string, query url.Values, out any) ([]byte, error) {
	resp, err := c.Do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return raw, json.Unmarshal(raw, out)
}

// Broken returns a client whose every request fails with err, for when it
// could not be made: the reason then shows where the daemon is first asked.
func Broken(err error) *Client { return &Client{broken: err, header: http.Header{}} }
