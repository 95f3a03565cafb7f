package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/jobengine/engine/internal/errs"
)

// Compression is how a stream is compressed.
type Compression int

// The compressions that are recognised. Xz is recognised to be refused.
const (
	None Compression = iota
	Gzip
	Zstd
	Bzip2
	Xz
)

func (c Compression) String() string {
	return [...]string{"uncompressed", "gzip", "zstd", "bzip2", "xz"}[c]
}

// prefixSize is how many bytes Detect wants to see.
const prefixSize = 10

// maxWindow bounds the memory that a zstd stream may ask for in its first bytes.
// It is enough for all that image builders write and for zstd's levels up to 20,
// not for `zstd --long`.
const maxWindow = 32 << 20

// Detect tells the compression of a stream from its first bytes, ten if there
// are as many.
func Detect(prefix []byte) Compression {
	starts := func(magic ...byte) bool { return bytes.HasPrefix(prefix, magic) }
	switch {
	case starts(0x1f, 0x8b, 8):
		return Gzip
	case starts(0x28, 0xb5, 0x2f, 0xfd):
		return Zstd
	case len(prefix) >= 4 && prefix[0]&0xf0 == 0x50 && bytes.Equal(prefix[1:4], []byte{0x2a, 0x4d, 0x18}):
		return Zstd // a skippable frame comes first
	case starts('B', 'Z', 'h'):
		return Bzip2
	case starts(0xfd, '7', 'z', 'X', 'Z', 0):
		return Xz
	}
	return None
}

// Decompress gives what is in r, and how it was compressed, as its first bytes
// tell. The data is decompressed in this process. Closing the result frees what
// it holds and does not close r. Xz is refused.
//
// A damaged stream comes out of Read as an invalid argument, a stream that ends
// too early as ErrTruncated.
func Decompress(r io.Reader) (io.ReadCloser, Compression, error) {
	src := &source{r: r}
	b := bufio.NewReaderSize(src, 64<<10)
	prefix, err := b.Peek(prefixSize)
	if err != nil && err != io.EOF {
		return nil, None, err
	}
	kind := Detect(prefix)
	var out io.ReadCloser
	switch kind {
	case Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(b); err == nil {
			out = z
		}
	case Zstd:
		var z *zstd.Decoder
		if z, _ = zstdDecoders.Get().(*zstd.Decoder); z != nil {
			err = z.Reset(b)
		} else {
			// Several streams at a time is what uses the processors; each is read in a goroutine of its own already.
			z, err = zstd.NewReader(b, zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		}
		if err == nil {
			out = &zstdReader{z}
		}
	case Bzip2:
		out = io.NopCloser(bzip2.NewReader(b))
	case Xz:
		return nil, kind, errs.Invalid("xz-compressed archives are not supported: recompress with gzip or zstd")
	default:
		return io.NopCloser(b), None, nil
	}
	if err != nil {
		return nil, kind, decompressError(kind, src, err)
	}
	return &decompressor{out, kind, src}, kind, nil
}

// zstdDecoders are for the next stream: each has a window of some 8 MB, which would else wait for the collector
// while the next layers allocate theirs.
var zstdDecoders sync.Pool

// zstdReader gives its decoder back when it is closed.
type zstdReader struct{ z *zstd.Decoder }

func (r *zstdReader) Read(p []byte) (int, error) {
	if r.z == nil {
		return 0, io.ErrClosedPipe
	}
	return r.z.Read(p)
}

func (r *zstdReader) Close() error {
	if z := r.z; z != nil {
		r.z = nil
		_ = z.Reset(nil) // it lets go of its source
		zstdDecoders.Put(z)
	}
	return nil
}

// source remembers whether it was the stream itself that failed to be read, or
// what is in it that is wrong.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type decompressor struct {
	io.ReadCloser
	kind Compression
	src  *source
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = decompressError(d.kind, d.src, err)
	}
	return n, err
}

func decompressError(kind Compression, src *source, err error) error {
	switch {
	case src.err != nil:
		return src.err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w in the middle of its %s data", ErrTruncated, kind)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: a %s window of more than %d MiB: compress it without --long and --ultra", ErrTooLarge, kind, maxWindow>>20)
	}
	return errs.As(errdefs.ErrInvalidArgument, fmt.Errorf("damaged %s data: %w", kind, err))
}

// Compress gives a writer whose input comes out in w, compressed; None, Gzip and
// Zstd are possible. Close ends the stream and does not close w.
func Compress(w io.Writer, kind Compression) (io.WriteCloser, error) {
	switch kind {
	case None:
		return nopWriteCloser{w}, nil
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(2))
	}
	return nil, errs.Invalid("cannot write %s data", kind)
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }
