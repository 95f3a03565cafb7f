package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/errdefs/pkg/errhttp"
	"github.com/moby/moby/api/types/common"
)

// Error is a daemon's refusal. Its class (errdefs.IsNotFound and so on) comes
// from the status, and only here.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return "Error response from daemon: " + e.Message }

// Unwrap gives the class that belongs to the status.
func (e *Error) Unwrap() error { return errhttp.ToNative(e.Status) }

// maxErrorBody bounds what is read of an error: whatever answers need not be a daemon.
const maxErrorBody = 1 << 20

// errorFrom reads the error out of a response and closes it.
func errorFrom(resp *http.Response, route string) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(body))
	if text == "" {
		return fmt.Errorf("request returned %s for API route and version %s, check if the server supports the requested API version%w",
			resp.Status, route, silent{errhttp.ToNative(resp.StatusCode)})
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/json" {
		var answer common.ErrorResponse
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("error reading JSON: %w", err)
		}
		text = strings.TrimSpace(answer.Message)
		if text == "" {
			text = fmt.Sprintf("API returned a %d (%s) but provided no error-message", resp.StatusCode, http.StatusText(resp.StatusCode))
		}
	}
	return &Error{Status: resp.StatusCode, Message: text}
}

// silent carries a class without adding to the sentence.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// ConnectionError says that no daemon answered at all.
type ConnectionError struct{ text string }

func (e *ConnectionError) Error() string { return e.text }

// connectionError explains why a request got no answer. A cancelled context
// stays what it is: callers ask for it.
func (c *Client) connectionError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	host := c.endpoint.Host
	fail := func(format string, args ...any) error {
		return &ConnectionError{fmt.Sprintf(format, args...)}
	}
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fail("permission denied while trying to connect to the engine daemon at %s", host)
	case errors.As(err, &dns):
		return fail("failed to connect to the engine daemon at %s: %s", host, dns)
	case errors.As(err, &op) && op.Op == "dial":
		return fail("Cannot connect to the engine daemon at %s. Is 'engine -d' running?", host)
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return fail("the server probably has client authentication (--tlsverify) enabled; check your TLS client certification settings: %s", err)
	case c.endpoint.TLS == nil && strings.Contains(err.Error(), "malformed HTTP response"):
		// net/http has no typed error for this one.
		return fail("%s.\n* Are you trying to connect to a TLS-enabled daemon without TLS?", err)
	}
	return fail("error during connect: %s", err)
}
