package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/containerd/errdefs"
)

// errPageNotFound is the answer to an unknown path and to a wrong method.
var errPageNotFound = statusError{http.StatusNotFound, "page not found"}

// statusError is for the few answers whose status no class stands for.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return e.text }

// status is the one place where a class of error becomes an HTTP status.
func status(err error) int {
	var fixed statusError
	switch {
	case errors.As(err, &fixed):
		return fixed.status
	case errdefs.IsNotFound(err):
		return http.StatusNotFound
	case errdefs.IsInvalidArgument(err):
		return http.StatusBadRequest
	case errdefs.IsConflict(err), errdefs.IsAlreadyExists(err), errdefs.IsFailedPrecondition(err):
		return http.StatusConflict
	case errdefs.IsUnauthorized(err):
		return http.StatusUnauthorized
	case errdefs.IsUnavailable(err):
		return http.StatusServiceUnavailable
	case errdefs.IsPermissionDenied(err):
		return http.StatusForbidden
	case errdefs.IsNotModified(err):
		return http.StatusNotModified
	case errdefs.IsNotImplemented(err):
		return http.StatusNotImplemented
	case errdefs.IsOutOfRange(err):
		return http.StatusRequestEntityTooLarge
	case errdefs.IsResourceExhausted(err):
		return http.StatusTooManyRequests
	case cancelled(err), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable // the engine is stopping, or somebody stopped the job
	}
	return http.StatusInternalServerError
}

// cancelled tells that a job ended because it was told to, not because it failed.
func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errdefs.IsCanceled(err)
}
