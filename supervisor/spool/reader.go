package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrLagged is returned for bytes that are no longer kept; the container's log has them.
var ErrLagged = errors.New("output is no longer in the spool")

// Reader is the daemon's side of a spool. Its methods may be called by several
// goroutines at a time. It stays readable after the container was deleted.
type Reader struct {
	page  page
	files [Streams]*os.File
	mu    sync.RWMutex // against Close, which unmaps the page
	gone  bool
}

// OpenReader opens the spool of the container whose folder is dir.
func OpenReader(dir string) (*Reader, error) {
	p, err := openPage(dir, os.O_RDONLY, unix.PROT_READ)
	if err != nil {
		return nil, err
	}
	r := &Reader{page: p}
	for s := range Stream(Streams) {
		if r.files[s], err = os.Open(filepath.Join(dir, spoolName(s))); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// ReadAt reads what stream s had from off on, and returns as many bytes as are
// there: none and a nil error if none is there yet, io.EOF when the stream has
// ended before off, ErrLagged when bytes from off on are gone.
func (r *Reader) ReadAt(s Stream, p []byte, off int64) (int, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gone {
		return 0, os.ErrClosed
	}
	ended := r.page.load(atEnded+8*int(s)) != 0 // before written, which grows until then
	have := int64(r.page.load(atWritten+8*int(s))) - off
	if have <= 0 {
		if ended {
			return 0, io.EOF
		}
		return 0, nil
	}
	n, err := r.files[s].ReadAt(p[:min(int64(len(p)), have)], off)
	if int64(r.page.load(atKept+8*int(s))) > off {
		return 0, ErrLagged
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// Written is how many bytes stream s has had so far: the offset of what comes next.
func (r *Reader) Written(s Stream) int64 { return int64(r.at(atWritten + 8*int(s))) }

// FirstKept is the offset of the oldest byte of stream s that can still be read.
func (r *Reader) FirstKept(s Stream) int64 { return int64(r.at(atKept + 8*int(s))) }

// Run is the number of the container's run that this is the output of.
func (r *Reader) Run() uint64 { return r.at(atRun) }

// Ended says whether no stream will get another byte. What was written may still be unread.
func (r *Reader) Ended() bool { return r.at(atEnded) != 0 && r.at(atEnded+8) != 0 }

// Committed is how much of the output the container's log holds.
func (r *Reader) Committed() Commit {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gone {
		return Commit{}
	}
	return r.page.committed()
}

// LogSize is the size up to which the current log file holds whole records for certain.
func (r *Reader) LogSize() int64 { return r.Committed().LogSize }

func (r *Reader) at(word int) uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gone {
		return 0
	}
	return r.page.load(word)
}

// Close closes the files.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return nil
	}
	r.gone = true
	r.page.close()
	for _, f := range r.files {
		if f != nil {
			f.Close()
		}
	}
	return nil
}
