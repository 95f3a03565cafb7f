package spool

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Writer is the supervisor's side of a spool. Calls for different streams may
// overlap; Commit is called by one goroutine at a time.
type Writer struct {
	page  page
	files [Streams]*os.File
}

// Create makes the spool in dir for a container's run. A terminal has no stderr.
func Create(dir string, run uint64, terminal bool) (*Writer, error) {
	p, err := openPage(dir, os.O_RDWR|os.O_CREATE|os.O_TRUNC, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	w := &Writer{page: p}
	for s := range Stream(Streams) {
		w.files[s], err = os.OpenFile(filepath.Join(dir, spoolName(s)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			w.Close()
			return nil, err
		}
	}
	if terminal {
		w.End(Stderr)
	}
	p.store(atRun, run)
	p.store(atMagic, magic)
	return w, nil
}

// Recover opens the spool of a supervisor that has died. What it had written and
// not yet counted is counted now.
func Recover(dir string) (*Writer, error) {
	p, err := openPage(dir, os.O_RDWR, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	w := &Writer{page: p}
	for s := range Stream(Streams) {
		w.files[s], err = os.OpenFile(filepath.Join(dir, spoolName(s)), os.O_RDWR, 0)
		if err != nil {
			w.Close()
			return nil, err
		}
		info, err := w.files[s].Stat()
		if err != nil {
			w.Close()
			return nil, err
		}
		p.store(atWritten+8*int(s), uint64(info.Size()))
	}
	return w, nil
}

// Splice moves at most max bytes out of the pipe into stream s. It returns 0 at
// the pipe's end and EAGAIN when a non-blocking pipe is empty.
func (w *Writer) Splice(s Stream, pipe, max int) (int, error) {
	off := w.Written(s)
	for {
		n, err := unix.Splice(pipe, nil, int(w.files[s].Fd()), &off, max, unix.SPLICE_F_NONBLOCK)
		if err == unix.EINTR {
			continue
		}
		if n > 0 {
			w.grown(s, int(n))
		}
		return int(n), err
	}
}

// Write appends p to stream s.
func (w *Writer) Write(s Stream, p []byte) error {
	n, err := w.files[s].WriteAt(p, w.Written(s))
	w.grown(s, n)
	return err
}

func (w *Writer) grown(s Stream, n int) {
	w.page.store(atWritten+8*int(s), uint64(w.Written(s))+uint64(n))
}

// ReadAt reads bytes that were written to stream s.
func (w *Writer) ReadAt(s Stream, p []byte, off int64) (int, error) {
	return w.files[s].ReadAt(p, off)
}

// Written is how many bytes stream s has had so far.
func (w *Writer) Written(s Stream) int64 { return int64(w.page.load(atWritten + 8*int(s))) }

// Ended says whether End was called for stream s, also by a dead predecessor.
func (w *Writer) Ended(s Stream) bool { return w.page.load(atEnded+8*int(s)) != 0 }

// End says that stream s gets no more bytes.
func (w *Writer) End(s Stream) { w.page.store(atEnded+8*int(s), 1) }

// Commit makes c the recovery point and lets go of bytes that are both in the
// log and older than the window.
func (w *Writer) Commit(c Commit) {
	w.page.commit(c)
	for s := range Stream(Streams) {
		w.forget(s, min(c.Offset[s], w.Written(s)-Window))
	}
}

// Committed is the last recovery point.
func (w *Writer) Committed() Commit { return w.page.committed() }

// Run is the number given to Create.
func (w *Writer) Run() uint64 { return w.page.load(atRun) }

// forget punches out what lies before off, in steps worth a system call.
func (w *Writer) forget(s Stream, off int64) {
	kept := int64(w.page.load(atKept + 8*int(s)))
	off &^= pageSize - 1
	if off-kept < Window/4 {
		return
	}
	// Readers look at this word after reading, so it changes before the bytes go.
	w.page.store(atKept+8*int(s), uint64(off))
	_ = unix.Fallocate(int(w.files[s].Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, kept, off-kept)
}

// Close lets go of the files; they remain.
func (w *Writer) Close() {
	for _, f := range w.files {
		if f != nil {
			f.Close()
		}
	}
	w.page.close()
}

// Remove deletes the files of a spool in dir.
func Remove(dir string) error {
	for _, name := range []string{pageName, spoolName(Stdout), spoolName(Stderr)} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove spool: %w", err)
		}
	}
	return nil
}
