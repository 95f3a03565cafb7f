package jsonfile

import (
	"errors"
	"io"
	"time"

	"github.com/jobengine/engine/logs/driver"
)

// seekTime leaves out what was written before since, as far as that is found
// cheaply: whole files by their last record, then by halving. Next does the rest.
func (r *reader) seekTime(since time.Time) error {
	for len(r.files) > 1 {
		if r.files[0].gz {
			return nil
		}
		last, ok, err := r.files[0].lastTime()
		if err != nil {
			return err
		}
		if !ok || !last.Before(since) {
			break
		}
		r.files[0].Close()
		r.files = r.files[1:]
	}
	if len(r.files) == 0 || r.files[0].gz {
		return nil
	}
	return r.files[0].seekTime(since)
}

func (f *file) lastTime() (at time.Time, ok bool, err error) {
	var dec decoder
	var e driver.Entry
	err = backward(f, f.limit, func(line []byte, _ int64) bool {
		ok = dec.decode(line, &e)
		return ok
	})
	return e.Time, ok, err
}

// seekTime moves the beginning close to the first record that is not before since.
func (f *file) seekTime(since time.Time) error {
	low, high := f.off, f.limit
	for high-low > blockSize {
		middle := low + (high-low)/2
		at, off, ok, err := f.firstAfter(middle, high)
		if err != nil {
			return err
		}
		if ok && at.Before(since) {
			low = off
		} else {
			high = middle
		}
	}
	f.off = low
	return nil
}

// firstAfter finds the first whole record that begins after off and before high.
func (f *file) firstAfter(off, high int64) (at time.Time, begin int64, ok bool, err error) {
	section := plain{&file{File: f.File, off: off, limit: high}}
	lines := lineReader{src: section}
	var dec decoder
	var e driver.Entry
	for first := true; ; first = false {
		raw, err := lines.next()
		if errors.Is(err, io.EOF) {
			return at, 0, false, nil
		}
		if err != nil {
			return at, 0, false, err
		}
		// The first line is the rest of a record that began before.
		if !first && dec.decode(raw, &e) {
			end := section.off - int64(lines.end-lines.start)
			return e.Time, end - int64(len(raw)) - 1, true, nil
		}
	}
}
