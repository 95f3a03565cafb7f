package tarsplit

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// Join writes the tar to w that index was made from, with the contents of the
// files in the tree dir. An index or tree that is not what it was is data loss,
// as far as it shows: the caller compares digests.
func Join(ctx context.Context, w io.Writer, index io.Reader, dir string) error {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(index, head); err != nil || string(head) != magic {
		return damaged(errors.Join(errors.New("it is no index"), err))
	}
	z, err := zstd.NewReader(index, zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<20), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	j := &joiner{w: w, in: bufio.NewReaderSize(z, 64<<10), root: root, buf: make([]byte, 512<<10)}
	return j.records(ctx)
}

type joiner struct {
	w       io.Writer
	in      *bufio.Reader
	root    int
	buf     []byte
	written int64
}

func (j *joiner) records(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, err := j.in.ReadByte()
		if err != nil {
			return damaged(err)
		}
		n, err := j.number()
		if err != nil {
			return err
		}
		switch kind {
		case kindRaw:
			err = j.raw(n)
		case kindZeros:
			err = j.zeros(ctx, n)
		case kindFile:
			err = j.file(ctx, n)
		case kindEnd:
			if n != j.written {
				return damaged(fmt.Errorf("it makes %d bytes, not %d", j.written, n))
			}
			return nil
		default:
			err = damaged(fmt.Errorf("record of kind %d", kind))
		}
		if err != nil {
			return err
		}
	}
}

func (j *joiner) number() (int64, error) {
	n, err := binary.ReadUvarint(j.in)
	if err != nil || int64(n) < 0 {
		return 0, damaged(errors.Join(errors.New("bad number"), err))
	}
	return int64(n), nil
}

func (j *joiner) raw(n int64) error {
	if n > maxRaw {
		return damaged(fmt.Errorf("%d bytes in one record", n))
	}
	if _, err := io.ReadFull(j.in, j.buf[:n]); err != nil {
		return damaged(err)
	}
	return j.write(j.buf[:n])
}

func (j *joiner) zeros(ctx context.Context, n int64) error {
	clear(j.buf)
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := j.buf[:min(n, int64(len(j.buf)))]
		if err := j.write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// file writes the content of a file, which must have the size that it had.
func (j *joiner) file(ctx context.Context, size int64) error {
	length, err := j.number()
	if err != nil {
		return err
	}
	if length == 0 || length > maxName {
		return damaged(fmt.Errorf("name of %d bytes", length))
	}
	name := make([]byte, length)
	if _, err := io.ReadFull(j.in, name); err != nil {
		return damaged(err)
	}
	fd, err := openInRoot(j.root, string(name))
	if err != nil {
		return errs.DataLoss("file %q of the layer is not there: %v", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != size {
		return errs.DataLoss("file %q of the layer is not what it was: %d bytes, not %d", name, st.Size, size)
	}
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Read(fd, j.buf[:min(left, int64(len(j.buf)))])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return &os.PathError{Op: "read", Path: string(name), Err: err}
		case n == 0:
			return errs.DataLoss("file %q of the layer is shorter than it was", name)
		}
		if err := j.write(j.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// openInRoot opens a file of the tree with all links resolved inside it, as the
// unpacker did. A pipe in its place does not block.
func openInRoot(root int, name string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(root, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

func (j *joiner) write(p []byte) error {
	n, err := j.w.Write(p)
	j.written += int64(n)
	return err
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return errs.As(errdefs.ErrDataLoss, fmt.Errorf("index of the tar is damaged: %w", err))
}
