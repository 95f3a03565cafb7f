// Package errs makes errors that have a class and a clean sentence.
//
// The classes are those of github.com/containerd/errdefs: callers ask with
// errdefs.IsNotFound and its like, the server maps the class to an HTTP status
// in one place. The sentence is for people; no code reads it.
package errs

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// classed pairs a sentence with a class that errors.Is finds but Error does not print.
type classed struct {
	error
	class error
}

func (e classed) Unwrap() []error { return []error{e.error, e.class} }

// As gives err the class, one of errdefs' sentinel errors, and keeps its text.
// A nil err stays nil.
func As(class, err error) error {
	if err == nil {
		return nil
	}
	return classed{err, class}
}

func newf(class error, format string, args []any) error {
	return classed{fmt.Errorf(format, args...), class}
}

// NotFound is answered with status 404.
func NotFound(format string, args ...any) error { return newf(errdefs.ErrNotFound, format, args) }

// Invalid is answered with status 400: the caller's input is wrong.
func Invalid(format string, args ...any) error {
	return newf(errdefs.ErrInvalidArgument, format, args)
}

// Conflict is answered with status 409: the object's state forbids it.
func Conflict(format string, args ...any) error { return newf(errdefs.ErrConflict, format, args) }

// NotModified is answered with status 304 and no body: the object is already so.
func NotModified(format string, args ...any) error {
	return newf(errdefs.ErrNotModified, format, args)
}

// Forbidden is answered with status 403.
func Forbidden(format string, args ...any) error {
	return newf(errdefs.ErrPermissionDenied, format, args)
}

// Unavailable is answered with status 503: try again later.
func Unavailable(format string, args ...any) error {
	return newf(errdefs.ErrUnavailable, format, args)
}

// NotImplemented is answered with status 501.
func NotImplemented(format string, args ...any) error {
	return newf(errdefs.ErrNotImplemented, format, args)
}

// TooLarge is answered with status 413: a limit on what comes from outside was passed.
func TooLarge(format string, args ...any) error {
	return newf(errdefs.ErrOutOfRange, format, args)
}

// DataLoss is answered with status 500: what is stored is damaged.
func DataLoss(format string, args ...any) error { return newf(errdefs.ErrDataLoss, format, args) }
