package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func newWriter(t *testing.T) (*Writer, string) {
	t.Helper()
	dir := t.TempDir()
	w, err := Create(dir, 7, false)
	assert.NilError(t, err)
	t.Cleanup(w.Close)
	return w, dir
}

func newReader(t *testing.T, dir string) *Reader {
	t.Helper()
	r, err := OpenReader(dir)
	assert.NilError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func TestAReaderSeesWhatWasWrittenAndItsEnd(t *testing.T) {
	w, dir := newWriter(t)
	r := newReader(t, dir)
	assert.Equal(t, r.Run(), uint64(7))
	p := make([]byte, 100)
	n, err := r.ReadAt(Stdout, p, 0)
	assert.NilError(t, err)
	assert.Equal(t, n, 0) // nothing yet
	assert.NilError(t, w.Write(Stdout, []byte("hello")))
	assert.NilError(t, w.Write(Stderr, []byte("err")))
	n, err = r.ReadAt(Stdout, p, 2)
	assert.NilError(t, err)
	assert.Equal(t, string(p[:n]), "llo")
	n, err = r.ReadAt(Stderr, p, 0)
	assert.NilError(t, err)
	assert.Equal(t, string(p[:n]), "err")
	w.End(Stdout)
	assert.Assert(t, !r.Ended())
	_, err = r.ReadAt(Stdout, p, 5)
	assert.Equal(t, err, io.EOF)
	n, err = r.ReadAt(Stdout, p, 4) // the rest comes before the end
	assert.NilError(t, err)
	assert.Equal(t, n, 1)
	w.End(Stderr)
	assert.Assert(t, r.Ended())
	assert.NilError(t, r.Close())
	assert.NilError(t, r.Close())
	_, err = r.ReadAt(Stdout, p, 0)
	assert.Equal(t, err, os.ErrClosed)
	assert.Equal(t, r.Written(Stdout), int64(0))
}

func TestATerminalHasNoStderr(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, 1, true)
	assert.NilError(t, err)
	defer w.Close()
	_, err = newReader(t, dir).ReadAt(Stderr, make([]byte, 1), 0)
	assert.Equal(t, err, io.EOF)
}

func TestSpliceTakesFromThePipeAndTellsItsEnd(t *testing.T) {
	w, dir := newWriter(t)
	var pipe [2]int
	assert.NilError(t, unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	_, err := w.Splice(Stdout, pipe[0], 1<<16)
	assert.Equal(t, err, unix.EAGAIN)
	_, err = unix.Write(pipe[1], []byte("0123456789"))
	assert.NilError(t, err)
	n, err := w.Splice(Stdout, pipe[0], 4)
	assert.NilError(t, err)
	assert.Equal(t, n, 4)
	n, err = w.Splice(Stdout, pipe[0], 1<<16)
	assert.NilError(t, err)
	assert.Equal(t, n, 6)
	unix.Close(pipe[1])
	n, err = w.Splice(Stdout, pipe[0], 1<<16)
	assert.NilError(t, err)
	assert.Equal(t, n, 0)
	p := make([]byte, 100)
	n, err = newReader(t, dir).ReadAt(Stdout, p, 0)
	assert.NilError(t, err)
	assert.Equal(t, string(p[:n]), "0123456789")
}

func TestRecoveryCountsWhatTheDeadWriterDidNot(t *testing.T) {
	w, dir := newWriter(t)
	assert.NilError(t, w.Write(Stdout, []byte("counted")))
	c := Commit{Offset: [Streams]int64{3, 0}, PartialSince: [Streams]int64{9, 0}, LogSize: 44, LogInode: 55}
	w.Commit(c)
	w.End(Stderr)
	// Bytes come into the file before they are counted.
	f, err := os.OpenFile(filepath.Join(dir, "spool.stdout"), os.O_WRONLY|os.O_APPEND, 0)
	assert.NilError(t, err)
	_, err = f.WriteString(" and not")
	assert.NilError(t, err)
	assert.NilError(t, f.Close())

	again, err := Recover(dir)
	assert.NilError(t, err)
	defer again.Close()
	assert.Equal(t, again.Written(Stdout), int64(len("counted and not")))
	assert.DeepEqual(t, again.Committed(), c)
	assert.Equal(t, again.Run(), uint64(7))
	assert.Assert(t, again.Ended(Stderr) && !again.Ended(Stdout))
}

func TestOldBytesAreGivenUpOnlyWhenCommitted(t *testing.T) {
	w, dir := newWriter(t)
	r := newReader(t, dir)
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	for range 4 * Window / len(chunk) {
		assert.NilError(t, w.Write(Stdout, chunk))
	}
	w.Commit(Commit{})
	assert.Equal(t, r.FirstKept(Stdout), int64(0)) // none is in the log
	w.Commit(Commit{Offset: [Streams]int64{2 * Window, 0}})
	assert.Equal(t, r.FirstKept(Stdout), int64(2*Window))
	w.Commit(Commit{Offset: [Streams]int64{4 * Window, 0}})
	assert.Equal(t, r.FirstKept(Stdout), int64(3*Window))
	_, err := r.ReadAt(Stdout, chunk, 3*Window-1)
	assert.Assert(t, errors.Is(err, ErrLagged))
	_, err = r.ReadAt(Stdout, chunk, 3*Window)
	assert.NilError(t, err)
	var st unix.Stat_t
	assert.NilError(t, unix.Stat(filepath.Join(dir, "spool.stdout"), &st))
	assert.Equal(t, st.Size, int64(4*Window))
	assert.Assert(t, st.Blocks*512 <= Window+pageSize, "%d", st.Blocks*512)
}

// TestACommitIsSeenWhole reads while commits are made: no mixture of two.
func TestACommitIsSeenWhole(t *testing.T) {
	w, dir := newWriter(t)
	r := newReader(t, dir)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(1); n < 200_000; n++ {
			w.page.commit(Commit{Offset: [Streams]int64{n, n}, PartialSince: [Streams]int64{n, n}, LogSize: n, LogInode: uint64(n)})
		}
	})
	for range 100_000 {
		c := r.Committed()
		n := c.LogSize
		if want := (Commit{Offset: [Streams]int64{n, n}, PartialSince: [Streams]int64{n, n}, LogSize: n, LogInode: uint64(n)}); c != want {
			t.Fatalf("%+v", c)
		}
	}
	wg.Wait()
}

func TestADamagedCommitPageIsAnError(t *testing.T) {
	for name, text := range map[string][]byte{"empty": nil, "short": make([]byte, 100), "zeroes": make([]byte, pageSize), "text": bytes.Repeat([]byte("x"), pageSize)} {
		_, dir := newWriter(t)
		assert.NilError(t, os.WriteFile(filepath.Join(dir, "commit"), text, 0o600))
		_, err := OpenReader(dir)
		assert.ErrorContains(t, err, "not a commit page", name)
		_, err = Recover(dir)
		assert.ErrorContains(t, err, "not a commit page", name)
	}
	_, err := OpenReader(t.TempDir())
	assert.Assert(t, errors.Is(err, os.ErrNotExist))
}
