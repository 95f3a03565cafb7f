package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/internal/errs"
)

// The errors that callers tell apart with errors.Is.
var (
	ErrBreakout  = errs.As(errdefs.ErrInvalidArgument, errors.New("archive entry leaves its root"))
	ErrTooLarge  = errs.As(errdefs.ErrOutOfRange, errors.New("archive unpacks beyond the limit"))
	ErrTruncated = errs.As(errdefs.ErrInvalidArgument, errors.New("archive is cut off"))
)

// readError classes an error that came out of reading a tar.
func readError(after string, err error) error {
	where := "at its start"
	if after != "" {
		where = fmt.Sprintf("after entry %q", after)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w %s", ErrTruncated, where)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong), errors.Is(err, tar.ErrInsecurePath):
		return errs.As(errdefs.ErrInvalidArgument, fmt.Errorf("not a tar, or a damaged one, %s: %w", where, err))
	}
	return fmt.Errorf("read archive %s: %w", where, err)
}
