package jsonfile

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// Rotate begins a new file: PATH becomes PATH.1 (PATH.1.gz if compressed), the
// older ones move up, the oldest goes.
func (w *Writer) Rotate() error {
	w.settle()
	if w.options.MaxFiles < 2 {
		if err := os.Remove(w.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	} else if err := w.shift(); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	old := w.file
	if err := w.open(); err != nil {
		return err // the old file is still open and takes what comes
	}
	old.Close()
	if w.options.Compress && w.options.MaxFiles > 1 {
		w.packing = make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			// An uncompressed file is as readable; the next rotation moves it on.
			_ = pack(w.path + ".1")
		}(w.packing)
	}
	return nil
}

func (w *Writer) shift() error {
	last := 1 // the number that the oldest file gets
	for last < w.options.MaxFiles-1 && w.hasRotated(last) {
		last++
	}
	for n := last; n > 0; n-- {
		from, to := w.rotated(n-1), w.rotated(n)
		for _, ext := range []string{"", ".gz"} {
			if err := os.Rename(from+ext, to+ext); err == nil {
				continue
			} else if !errors.Is(err, os.ErrNotExist) {
				return err
			}
			// A file must not outlive the turn of its number in the other form.
			if err := os.Remove(to + ext); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (w *Writer) hasRotated(n int) bool {
	for _, ext := range []string{"", ".gz"} {
		if _, err := os.Lstat(w.rotated(n) + ext); err == nil {
			return true
		}
	}
	return false
}

func (w *Writer) rotated(n int) string {
	if n == 0 {
		return w.path
	}
	return fmt.Sprintf("%s.%d", w.path, n)
}

func (w *Writer) settle() {
	if w.packing != nil {
		<-w.packing
		w.packing = nil
	}
}

// pack replaces path by path.gz.
func pack(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := path + ".gz.tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		if err != nil {
			os.Remove(tmp)
		}
	}()
	z := gzip.NewWriter(out)
	if _, err = io.Copy(z, in); err != nil {
		return err
	}
	if err = z.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp, path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}
