package jsonfile

import (
	"errors"
	"io"

	"github.com/jobengine/engine/logs/driver"
)

// seekTail moves the beginning to where the last n lines begin.
func (r *reader) seekTail(n int) error {
	count := lineCounter{left: n}
	for i := len(r.files) - 1; i >= 0; i-- {
		full, err := r.files[i].seekTail(&count)
		if err != nil {
			return err
		}
		if full {
			closeAll(r.files[:i])
			r.files = r.files[i:]
			return nil
		}
	}
	return nil
}

// seekTail leaves out the records that count does not want. It tells whether
// there were such: then no older file is wanted either.
func (f *file) seekTail(count *lineCounter) (full bool, err error) {
	if f.gz {
		return f.seekTailPacked(count)
	}
	begin := f.limit
	err = backward(f, f.limit, func(line []byte, off int64) bool {
		if full = off < f.off || !count.wants(line); !full {
			begin = off
		}
		return full
	})
	f.off = max(begin, f.off)
	return full, err
}

// seekTailPacked reads a compressed file twice, as it can only be read forward:
// once to count, once, later, from the right record on.
func (f *file) seekTailPacked(count *lineCounter) (bool, error) {
	var lines lineReader
	src, err := f.open()
	if err != nil {
		return false, err
	}
	lines.reset(src)
	var kinds []byte // of each record, what count must know: one byte instead of the text
	var dec decoder
	var e driver.Entry
	for {
		raw, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
		kinds = append(kinds, kindOf(raw, &dec, &e))
	}
	for i := len(kinds) - 1; i >= 0; i-- {
		if !count.wantsKind(kinds[i]) {
			f.skip = i + 1
			return true, nil
		}
	}
	return false, nil
}

// lineCounter meets records from the last one to the first and tells which of
// them belong to the last lines. Pieces of a line count once, also when the
// other stream's lines lie between them.
type lineCounter struct {
	left int
	// inside: a later piece of this stream was met, whose beginning may be here.
	inside  [3]bool
	decoder decoder
	entry   driver.Entry
}

const (
	kindDamaged byte = 0
	kindWhole   byte = 4 // added to the stream's number
)

func kindOf(raw []byte, dec *decoder, e *driver.Entry) byte {
	if !dec.decode(raw, e) {
		return kindDamaged
	}
	kind := byte(e.Stream)
	if !e.Partial {
		kind += kindWhole
	}
	return kind
}

func (c *lineCounter) wants(raw []byte) bool {
	return c.wantsKind(kindOf(raw, &c.decoder, &c.entry))
}

func (c *lineCounter) wantsKind(kind byte) bool {
	if kind == kindDamaged {
		return true
	}
	stream := kind &^ kindWhole
	if kind&kindWhole == 0 && c.inside[stream] {
		return true
	}
	if c.left == 0 {
		return false
	}
	c.left--
	c.inside[stream] = true
	return true
}
