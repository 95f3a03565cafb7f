package containers

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// onlyWriter hides a file's other methods, so that io.Copy does not try to splice.
type onlyWriter struct{ w io.Writer }

func (o onlyWriter) Write(p []byte) (int, error) { return o.w.Write(p) }

// isBroken tells whether nobody is at the other end of a pipe or terminal any more.
func isBroken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrClosed)
}

// onlyReader hides a file's other methods, so that io.Copy reads in pieces as they come.
type onlyReader struct{ r io.Reader }

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }

// gate is a writer that fails once its context has ended.
type gate struct {
	open context.Context
	w    io.Writer
}

func (g gate) Write(p []byte) (int, error) {
	if err := g.open.Err(); err != nil {
		return 0, err
	}
	return g.w.Write(p)
}
