package streams

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OnlyWriter hides a file's other methods, so that io.Copy does not try to splice.
type OnlyWriter struct{ Writer io.Writer }

func (o OnlyWriter) Write(p []byte) (int, error) { return o.Writer.Write(p) }

// IsBroken tells whether nobody is at the other end of a pipe or terminal any more.
func IsBroken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrClosed)
}

// OnlyReader hides a file's other methods, so that io.Copy reads in pieces as they come.
type OnlyReader struct{ Reader io.Reader }

func (o OnlyReader) Read(p []byte) (int, error) { return o.Reader.Read(p) }

// Gate is a writer that fails once its context has ended.
type Gate struct {
	Open   context.Context
	Writer io.Writer
}

func (g Gate) Write(p []byte) (int, error) {
	if err := g.Open.Err(); err != nil {
		return 0, err
	}
	return g.Writer.Write(p)
}

// Pipe makes a pipe for a process's descriptor: 0 reads from it, others write.
// Our end is in the poller; theirs blocks, as programs expect.
func Pipe(descriptor int) (theirs, ours *os.File, err error) {
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	// A process that became another user can open its /dev/stdout again. Nobody
	// else comes to a pipe without a name.
	if err := unix.Fchmod(fd[0], 0o666); err != nil {
		unix.Close(fd[0])
		unix.Close(fd[1])
		return nil, nil, os.NewSyscallError("fchmod", err)
	}
	their, our := fd[0], fd[1]
	if descriptor > 0 {
		their, our = fd[1], fd[0]
	}
	theirs = os.NewFile(uintptr(their), "stdio")
	if err := unix.SetNonblock(our, true); err != nil {
		unix.Close(our)
		theirs.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return theirs, os.NewFile(uintptr(our), "stdio"), nil
}
