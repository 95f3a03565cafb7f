package jsonfile

import (
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/klauspost/compress/gzip"

	"github.com/jobengine/engine/logs/driver"
)

// file is one of a log's files, of which limit bytes are read, beginning at off.
// Of a compressed one the first skip records are left out instead.
type file struct {
	*os.File
	info    os.FileInfo
	gz      bool
	current bool // it had the log's own name
	off     int64
	limit   int64
	skip    int
}

func openFile(path string, gz bool) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{File: f, info: info, gz: gz, limit: info.Size()}, nil
}

func (f *file) inode() uint64 {
	st, ok := f.info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ino
}

// grow reads the size anew and tells whether there is more than before.
func (f *file) grow(bound func(f *file, size int64) int64) (bool, error) {
	if f.gz {
		return false, nil
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	limit := info.Size()
	if bound != nil {
		limit = bound(f, limit)
	}
	more := limit > f.limit
	f.limit = max(limit, f.limit)
	return more, nil
}

// boundary tells whether a record begins at off. A number of a removed file may
// have come back as another file's.
func (f *file) boundary(off int64) bool {
	if off == 0 {
		return true
	}
	var b [1]byte
	n, _ := f.ReadAt(b[:], off-1)
	return n == 1 && b[0] == '\n'
}

// startAt leaves out what lies before a position.
func startAt(files []*file, at driver.Position) ([]*file, error) {
	if at.File == 0 {
		return files, nil
	}
	for i, f := range files {
		if !f.gz && f.inode() == at.File && f.boundary(at.Offset) {
			f.off = at.Offset
			closeAll(files[:i])
			return files[i:], nil
		}
	}
	closeAll(files)
	return nil, driver.ErrGone
}

// open gives what is to be read of the file. A plain file can grow while it is read.
func (f *file) open() (io.Reader, error) {
	if !f.gz {
		return plain{f}, nil
	}
	z, err := gzip.NewReader(io.NewSectionReader(f.File, 0, f.limit))
	if err != nil {
		return damaged{}, nil
	}
	return tolerant{z}, nil
}

type plain struct{ *file }

func (p plain) Read(b []byte) (int, error) {
	if left := p.limit - p.off; int64(len(b)) > left {
		b = b[:max(left, 0)]
	}
	if len(b) == 0 {
		return 0, io.EOF
	}
	n, err := p.ReadAt(b, p.off)
	p.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// tolerant ends where a compressed file is damaged.
type tolerant struct{ z *gzip.Reader }

func (t tolerant) Read(b []byte) (int, error) {
	n, err := t.z.Read(b)
	var path *os.PathError
	if err != nil && !errors.As(err, &path) {
		err = io.EOF
	}
	return n, err
}

type damaged struct{}

func (damaged) Read([]byte) (int, error) { return 0, io.EOF }

// openChain opens all files of the log at path as they are at one moment,
// oldest first.
func openChain(path string) ([]*file, error) {
	for try := 0; ; try++ {
		var files []*file
		current, err := openFile(path, false)
		if err == nil {
			current.current = true
			files = append(files, current)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		older, err := openRotated(path)
		files = append(files, older...)
		if err == nil && (try == 8 || unrotated(path, current)) {
			for i, j := 0, len(files)-1; i < j; i, j = i+1, j-1 {
				files[i], files[j] = files[j], files[i]
			}
			return files, nil
		}
		closeAll(files)
		if err != nil {
			return nil, err
		}
	}
}

// unrotated tells whether the name still belongs to the file that was opened.
func unrotated(path string, opened *file) bool {
	now, err := os.Stat(path)
	if opened == nil {
		return errors.Is(err, os.ErrNotExist)
	}
	return err == nil && os.SameFile(now, opened.info)
}

// openRotated opens PATH.1, PATH.2 … or their compressed forms, newest first.
func openRotated(path string) ([]*file, error) {
	var files []*file
	for n := 1; ; n++ {
		name := path + "." + strconv.Itoa(n)
		f, err := openFile(name, false)
		if errors.Is(err, os.ErrNotExist) {
			f, err = openFile(name+".gz", true)
		}
		if errors.Is(err, os.ErrNotExist) {
			return files, nil
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
}

func closeAll(files []*file) {
	for _, f := range files {
		f.Close()
	}
}

// newerThan opens the files that follow the one that was read to its end, which
// has lost the log's name meanwhile. All that are there, if it is gone itself.
func newerThan(read *file, path string) ([]*file, error) {
	files, err := openChain(path)
	if err != nil {
		return nil, err
	}
	for i := len(files) - 1; i >= 0; i-- {
		if files[i].same(read) {
			closeAll(files[:i+1])
			return files[i+1:], nil
		}
	}
	return files, nil
}

// same tells whether f is the other file, also after it was compressed.
func (f *file) same(other *file) bool {
	if !f.gz || other.gz {
		return os.SameFile(f.info, other.info)
	}
	src, err := f.open()
	if err != nil {
		return false
	}
	// The first record has a time, so no other file begins with the same bytes.
	head, want := make([]byte, 512), make([]byte, 512)
	n, _ := io.ReadFull(src, head)
	m, _ := other.ReadAt(want, 0)
	return n > 0 && n == m && string(head[:n]) == string(want[:m])
}
