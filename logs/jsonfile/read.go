package jsonfile

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/jobengine/engine/logs/driver"
)

// reader reads a chain of files: rotated ones first, the one at path last.
type reader struct {
	path    string
	options driver.ReadOptions
	files   []*file // still to be read, oldest first; the first one is being read
	lines   lineReader
	decoder decoder
	entry   driver.Entry
	ended   bool // the writer has ended: what is on disk is all
	done    bool
}

// Open reads the log at path and its rotated files. It is a driver.Open.
func Open(path string, o driver.ReadOptions) (driver.Reader, error) {
	files, err := openChain(path)
	if err != nil {
		return nil, err
	}
	r := &reader{path: path, options: o}
	if r.files, err = startAt(files, o.From); err != nil {
		return nil, err
	}
	r.bound()
	if err := r.seek(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// bound keeps a follower from what is not committed yet: a part of the newest
// file, or all of it when the last commit was before its beginning.
func (r *reader) bound() {
	if n := len(r.files); n > 0 && r.files[n-1].current {
		f := r.files[n-1]
		f.limit = r.committed(f, f.limit)
	}
}

// committed is how much of a file that has size bytes may be read.
func (r *reader) committed(f *file, size int64) int64 {
	if r.options.Follow == nil || r.ended {
		return size
	}
	switch at := r.options.Follow.Committed(); at.File {
	case 0:
		return size
	case f.inode():
		return min(size, at.Offset)
	}
	return 0
}

// seek drops the files and skips the records that Tail and Since leave out.
func (r *reader) seek() error {
	if r.options.Tail >= 0 {
		if err := r.seekTail(r.options.Tail); err != nil {
			return err
		}
	}
	if !r.options.Since.IsZero() {
		if err := r.seekTime(r.options.Since); err != nil {
			return err
		}
	}
	return r.begin()
}

// begin starts to read the first of the files.
func (r *reader) begin() error {
	r.lines.reset(nil)
	if len(r.files) == 0 {
		return nil
	}
	src, err := r.files[0].open()
	if err != nil {
		return err
	}
	r.lines.reset(src)
	for range r.files[0].skip {
		if _, err := r.lines.next(); err != nil {
			break
		}
	}
	return nil
}

func (r *reader) Next(ctx context.Context) (*driver.Entry, error) {
	for !r.done {
		record, err := r.lines.next()
		if err == nil {
			if !r.decoder.decode(record, &r.entry) || r.entry.Time.Before(r.options.Since) {
				continue
			}
			if !r.options.Until.IsZero() && r.entry.Time.After(r.options.Until) {
				break
			}
			return &r.entry, nil
		}
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		more, err := r.advance()
		if err != nil {
			return nil, err
		}
		if more {
			continue
		}
		if r.options.Follow == nil || r.ended {
			break
		}
		if err := r.wait(ctx); err != nil {
			return nil, err
		}
	}
	r.done = true
	return nil, io.EOF
}

// wait waits for the follower; the end, and Until's moment, are no errors.
func (r *reader) wait(ctx context.Context) error {
	limited := ctx
	if !r.options.Until.IsZero() {
		var cancel context.CancelFunc
		limited, cancel = context.WithDeadline(ctx, r.options.Until)
		defer cancel()
	}
	err := r.options.Follow.Wait(limited)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil && !time.Now().Before(r.options.Until):
	default:
		return err
	}
	r.ended = true
	return nil
}

// advance goes on where the file that was read has no more: to the next file,
// or to what was added since. False when there is nothing yet.
func (r *reader) advance() (bool, error) {
	if len(r.files) > 1 {
		r.files[0].Close()
		r.files = r.files[1:]
		return true, r.begin()
	}
	if r.options.Follow == nil {
		return false, nil
	}
	if len(r.files) == 0 {
		files, err := openChain(r.path)
		if err != nil || len(files) == 0 {
			return false, err
		}
		r.files = files
		r.bound()
		return true, r.begin()
	}
	last := r.files[0]
	// The writer does not touch a file any more that has lost its name, so its
	// size is read after the name is seen to be another's.
	now, err := os.Stat(r.path)
	if err == nil && os.SameFile(now, last.info) {
		return last.grow(r.committed)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if more, err := last.grow(nil); more || err != nil {
		return more, err
	}
	files, err := newerThan(last, r.path)
	if err != nil || len(files) == 0 {
		// The log is gone and will not grow: the follower is asked all the same,
		// so that he knows that all of his last commit was read.
		_ = r.committed(last, last.limit)
		return false, err
	}
	last.Close()
	r.files = files
	r.bound()
	return true, r.begin()
}

func (r *reader) Close() error {
	for _, f := range r.files {
		f.Close()
	}
	r.files, r.done = nil, true
	return nil
}
