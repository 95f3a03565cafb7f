package jsonfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// MaxLine is the most that one record holds of a line, in bytes. A longer line
// is written in pieces, of which only the last ends with a newline.
const MaxLine = 16 << 10

// WriterOptions are the options of docker's json-file driver.
type WriterOptions struct {
	MaxSizeBytes int64 // a file that has reached it is rotated before the next record; 0: never
	MaxFiles     int   // files kept, the current one counted; less than 2: the current one starts anew
	Compress     bool  // gzip rotated files
	Attrs        map[string]string
}

// Writer appends to a container's log. The caller encodes records into a buffer
// of its own with Append and hands over whole ones with Write. One goroutine uses it.
type Writer struct {
	path    string
	options WriterOptions
	attrs   []byte
	file    *os.File
	size    int64
	inode   uint64
	// packing is closed when the compression of the last rotated file is done.
	packing chan struct{}
}

// OpenWriter opens or creates the log at path.
func OpenWriter(path string, o WriterOptions) (*Writer, error) {
	w := &Writer{path: path, options: o}
	if len(o.Attrs) > 0 {
		var err error
		if w.attrs, err = json.Marshal(o.Attrs); err != nil {
			return nil, err
		}
	}
	return w, w.open()
}

func (w *Writer) open() error {
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	w.file, w.size, w.inode = f, info.Size(), info.Sys().(*syscall.Stat_t).Ino
	return nil
}

// Append adds a record to buf. Line has its newline, if it is whole.
func (w *Writer) Append(buf []byte, stream string, line []byte, at time.Time) []byte {
	return appendRecord(buf, stream, line, w.attrs, at)
}

// Write writes whole records. After an error none of them is in the log.
func (w *Writer) Write(records []byte) error {
	n, err := w.file.Write(records)
	if err == nil {
		w.size += int64(n)
		return nil
	}
	if n > 0 { // a full disk takes what fits
		if terr := w.file.Truncate(w.size); terr != nil {
			return errors.Join(err, terr)
		}
	}
	return err
}

// Size is the current file's size in bytes, Inode its inode number.
func (w *Writer) Size() int64   { return w.size }
func (w *Writer) Inode() uint64 { return w.inode }

// Full says whether the file must be rotated before more is written, when
// pending bytes are about to be.
func (w *Writer) Full(pending int) bool {
	return w.options.MaxSizeBytes > 0 && w.size+int64(pending) >= w.options.MaxSizeBytes
}

// CutBack removes what was appended after the log had the given size and inode:
// records that their writer, killed meanwhile, had not committed. A file with
// another inode was begun by a rotation after that, so all of it goes.
func (w *Writer) CutBack(size int64, inode uint64) error {
	if inode != w.inode {
		size = 0
	}
	if w.size <= size {
		return nil
	}
	if err := w.file.Truncate(size); err != nil {
		return fmt.Errorf("cut back log: %w", err)
	}
	w.size = size
	return nil
}

// Close waits for a compression that is under way.
func (w *Writer) Close() error {
	w.settle()
	return w.file.Close()
}
