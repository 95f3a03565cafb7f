package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
)

// The codes of the distribution spec that somebody here tells apart.
const (
	codeDenied          = "DENIED"
	codeUnauthorized    = "UNAUTHORIZED"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeNameUnknown     = "NAME_UNKNOWN"
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeTooMany         = "TOOMANYREQUESTS"
)

// Error is a registry's refusal.
type Error struct {
	Status  int    // of HTTP
	Code    string // of the distribution spec; "" if the answer had none
	Message string
	After   time.Duration // that the registry wants to be left alone; 0 if it does not say
	text    string        // instead of code and message
}

func (e *Error) Error() string {
	if e.text != "" {
		return e.text
	}
	code := strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))
	if e.Message == "" {
		return code
	}
	return code + ": " + e.Message
}

// Busy says that the same request may well succeed later.
func (e *Error) Busy() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// IsBusy tells whether an error says to come again later, and when.
func IsBusy(err error) (after time.Duration, busy bool) {
	var e *Error
	if errors.As(err, &e) && e.Busy() {
		return e.After, true
	}
	return 0, false
}

// IsRefusal tells whether the registry itself said no: to ask again is of no use.
func IsRefusal(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.Busy() || errors.Is(err, errNoBasic)
}

// IsLocked tells whether credentials are missing or wrong.
func IsLocked(err error) bool {
	var e *Error
	return errors.Is(err, errNoBasic) || errors.As(err, &e) && e.Status == http.StatusUnauthorized
}

// Bare leaves the request out of an error that is about missing credentials:
// where docker's pull names it, its push does not.
func Bare(err error) error {
	if errors.Is(err, errNoBasic) {
		return errNoBasic
	}
	return err
}

// maxErrorBody bounds what is read of an answer that is no success.
const maxErrorBody = 64 << 10

// errorFrom makes an error of an answer and closes it.
func errorFrom(resp *http.Response) error {
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode, After: retryAfter(resp.Header)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && len(body) == 0 {
		e.text = fmt.Sprintf("received unexpected HTTP status: %s", resp.Status)
		return e
	}
	var doc struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details string `json:"details"`
	}
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented || json.Unmarshal(body, &doc) != nil || len(doc.Errors) == 0 && doc.Details == "" {
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			e.Code, e.Message = codeUnauthorized, "authentication required"
		case http.StatusForbidden:
			e.Code, e.Message = codeDenied, "requested access to the resource is denied"
		case http.StatusNotFound:
			e.text = "received unexpected HTTP status: " + resp.Status
		case http.StatusTooManyRequests:
			e.Code, e.Message = codeTooMany, "too many requests"
		default:
			e.text = "received unexpected HTTP status: " + resp.Status
		}
		return e
	}
	if len(doc.Errors) == 0 {
		e.Code, e.Message = codeUnauthorized, shorten(doc.Details)
		return e
	}
	e.Code, e.Message = shorten(doc.Errors[0].Code), shorten(doc.Errors[0].Message)
	return e
}

// shorten keeps a stranger's text from filling the screen.
func shorten(text string) string {
	text = strings.Map(func(r rune) rune {
		// Neither what steers a terminal nor what turns the direction of writing.
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
	if len(text) > 1000 {
		text = text[:1000] + "…"
	}
	return text
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	var seconds int
	if _, err := fmt.Sscanf(text, "%d", &seconds); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	return 0
}

// maxRetryAfter is how long a registry can make us wait.
const maxRetryAfter = 5 * time.Minute

// ErrSchema1 refuses manifests of a form that has neither digests of its layers'
// content nor a config of its own.
var ErrSchema1 = errors.New("Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed") //nolint:staticcheck // docker's sentence

// Explain gives the refusal of a pull docker's sentence and class.
func Explain(err error, ref reference.Named) error {
	if errors.Is(err, ErrSchema1) {
		return errs.Invalid("%w. Suggest the author of %s to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/", ErrSchema1, ref)
	}
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case codeDenied:
		return errs.NotFound("pull access denied for %s, repository does not exist or may require 'docker login': %w", reference.FamiliarName(ref), e)
	case codeManifestUnknown:
		return errs.NotFound("manifest for %s not found: %w", reference.FamiliarString(ref), e)
	case codeNameUnknown:
		return errs.NotFound("repository %s not found: %w", reference.FamiliarName(ref), e)
	}
	return err
}

// unauthorized is answered with status 401.
func unauthorized(format string, args ...any) error {
	return errs.As(errdefs.ErrUnauthenticated, fmt.Errorf(format, args...))
}
