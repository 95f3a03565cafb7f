package jsonfile

import (
	"bytes"
	"io"
)

const (
	blockSize = 64 << 10
	// maxRecord is more than any record: a line of MaxLine bytes, each escaped
	// by six, and attributes. What is longer is damage.
	maxRecord = 1 << 20
)

// lineReader cuts what it reads into lines. Its source may end and go on later.
type lineReader struct {
	src        io.Reader
	buf        []byte
	start, end int // what of buf is not given yet
	searched   int // how far after start there is no newline
	skipping   bool
}

func (l *lineReader) reset(src io.Reader) {
	l.src, l.start, l.end, l.searched, l.skipping = src, 0, 0, 0, false
}

// next gives a line without its newline, valid until the next call. io.EOF when
// there is no whole line: the beginning of one is kept.
func (l *lineReader) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.start+l.searched:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : l.start+l.searched+i]
			l.start += l.searched + i + 1
			l.searched = 0
			if !l.skipping {
				return line, nil
			}
			l.skipping = false
			continue
		}
		l.searched = l.end - l.start
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

func (l *lineReader) fill() error {
	if l.src == nil {
		return io.EOF
	}
	if l.searched > maxRecord || l.skipping {
		l.start, l.end, l.searched, l.skipping = 0, 0, 0, true
	}
	if l.start > 0 {
		copy(l.buf, l.buf[l.start:l.end])
		l.start, l.end = 0, l.end-l.start
	}
	if l.end == len(l.buf) {
		grown := make([]byte, max(blockSize, 2*len(l.buf)))
		copy(grown, l.buf[:l.end])
		l.buf = grown
	}
	n, err := l.src.Read(l.buf[l.end:])
	l.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// backward calls f with the lines of the first limit bytes of src, last one
// first, and where they begin, until f says stop. Bytes after the last newline
// are no line.
func backward(src io.ReaderAt, limit int64, f func(line []byte, off int64) (stop bool)) error {
	var rest []byte // the end of a line whose beginning comes with the next block
	whole := false  // a newline was seen, so rest ends with one
	for pos := limit; pos > 0; {
		n := min(blockSize, pos)
		pos -= n
		data := make([]byte, int(n)+len(rest))
		if _, err := src.ReadAt(data[:n], pos); err != nil && err != io.EOF {
			return err
		}
		copy(data[n:], rest)
		if !whole {
			i := bytes.LastIndexByte(data, '\n')
			if i < 0 {
				continue
			}
			data, whole = data[:i+1], true
		}
		for {
			i := bytes.LastIndexByte(data[:len(data)-1], '\n')
			if i < 0 {
				break
			}
			if f(data[i+1:len(data)-1], pos+int64(i)+1) {
				return nil
			}
			data = data[:i+1]
		}
		if rest = data; len(rest) > maxRecord {
			rest = rest[len(rest)-1:]
		}
	}
	if whole {
		f(rest[:len(rest)-1], 0)
	}
	return nil
}
