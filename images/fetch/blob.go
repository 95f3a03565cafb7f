package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Phase is what a download is at.
type Phase int

// The phases, in order but for Retrying.
const (
	Waiting     Phase = iota // for its turn
	Downloading              // or about to
	Retrying                 // pauses before the next attempt
	Verifying
	Complete
	Failed
)

// State is a download at one moment.
type State struct {
	Phase Phase
	Bytes int64     // that are there
	Until time.Time // of a pause
}

// ErrStale says that a blob was wrong that an earlier process had begun: it is
// worth to begin anew.
var ErrStale = errors.New("what an earlier download has left was wrong")

// stale is such an error, with the sentence of its cause.
type stale struct{ error }

func (e stale) Unwrap() []error { return []error{e.error, ErrStale} }

// ErrDigest says that a blob is not what its digest promises.
var ErrDigest = errors.New("filesystem layer verification failed")

// Blob is a blob that is being downloaded.
type Blob struct {
	store  *Store
	digest digest.Digest
	size   int64
	open   Source
	path   string
	ctx    context.Context // of the download, not of a caller
	cancel context.CancelFunc
	turn   chan struct{} // closed when it may begin
	ended  chan struct{} // closed when nobody writes the file any more
	gone   chan struct{} // closed when it has left the store

	mu      sync.Mutex
	changed *sync.Cond
	file    *os.File
	state   State
	err     error // why it failed
	users   int
	dying   bool // nobody can join any more
}

// Digest is the blob's.
func (b *Blob) Digest() digest.Digest { return b.digest }

// join adds a user, unless it is too late.
func (b *Blob) join() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dying || b.state.Phase == Failed {
		b.dying = true
		return false
	}
	b.users++
	return true
}

// Release gives the blob up; the last one ends the download. keep leaves the
// file to be resumed or used again later, unless it is known to be bad.
func (b *Blob) Release(keep bool) {
	b.mu.Lock()
	b.users--
	last := b.users == 0
	if last {
		b.dying = true
	}
	b.mu.Unlock()
	if !last {
		return
	}
	b.cancel()
	<-b.ended
	b.mu.Lock()
	if b.file != nil {
		b.file.Close()
	}
	bad := b.state.Phase == Failed && !errors.Is(b.err, context.Canceled)
	b.mu.Unlock()
	if !keep || bad {
		_ = os.Remove(b.path)
	}
	b.store.forget(b)
}

// State gives how far it is.
func (b *Blob) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Watch calls tell with each change of phase, and now and then with more bytes,
// until the download has ended; it returns its error, or that of ctx.
func (b *Blob) Watch(ctx context.Context, every time.Duration, tell func(State)) error {
	stop := context.AfterFunc(ctx, b.wake)
	defer stop()
	var last State
	var at time.Time
	first := true
	for {
		b.mu.Lock()
		for ctx.Err() == nil && !first && b.state == last {
			b.changed.Wait()
		}
		now, err := b.state, b.err
		b.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if first || now.Phase != last.Phase || now.Until != last.Until || time.Since(at) >= every {
			tell(now)
			at = time.Now()
		}
		first, last = false, now
		switch now.Phase {
		case Complete:
			return nil
		case Failed:
			return err
		}
	}
}

func (b *Blob) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

func (b *Blob) set(change func(*State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.state)
	b.changed.Broadcast()
}

// run downloads the blob.
func (b *Blob) run() {
	defer close(b.ended)
	defer b.store.leave(b)
	err := b.ctx.Err()
	select {
	case <-b.turn:
	case <-b.ctx.Done():
		err = b.ctx.Err()
	}
	if err == nil {
		err = b.download()
	}
	b.set(func(s *State) {
		s.Phase = Complete
		if err != nil {
			s.Phase, b.err = Failed, err
		}
	})
}

func (b *Blob) download() error {
	file, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) { // somebody has removed the folder
		if err = os.MkdirAll(b.store.Dir, 0o700); err == nil {
			file, err = os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	sum := sha256.New()
	found, err := rehash(file, sum, b.size)
	b.mu.Lock()
	b.file = file
	b.state.Phase, b.state.Bytes = Downloading, found
	b.changed.Broadcast()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	if err := b.attempts(file, sum); err != nil {
		if found > 0 && b.ctx.Err() == nil && b.final(err) {
			err = stale{err} // the source may not have the range that is missing
		}
		return err
	}
	b.set(func(s *State) { s.Phase = Verifying })
	if hex.EncodeToString(sum.Sum(nil)) != b.digest.Encoded() {
		err := fmt.Errorf("%w for digest %s", ErrDigest, b.digest)
		if found > 0 {
			return stale{err}
		}
		return err
	}
	return nil
}

// rehash reads what an earlier download has left.
func rehash(file *os.File, sum hash.Hash, size int64) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > size {
		return 0, file.Truncate(0)
	}
	if info.Size() == 0 {
		return 0, nil
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{file}, buf[:])
}

// attempts gets the bytes that are missing, however often the connection breaks,
// as long as each attempt gets further.
func (b *Blob) attempts(file *os.File, sum hash.Hash) error {
	failures := 0
	for total := 0; ; total++ {
		before := b.State().Bytes
		if before == b.size {
			return nil
		}
		err := b.attempt(file, sum, before)
		if err == nil {
			continue
		}
		if b.ctx.Err() != nil {
			return context.Canceled
		}
		if b.State().Bytes-before >= progress {
			failures = 0
		}
		if failures++; b.final(err) || failures >= b.store.attempts() || total > 100*b.store.attempts() {
			return err
		}
		wait := max(b.store.Later(err), min(b.store.Wait<<(failures-1), 30*time.Second))
		until := time.Now().Add(wait)
		b.set(func(s *State) { s.Phase, s.Until = Retrying, until })
		select {
		case <-b.ctx.Done():
			return context.Canceled
		case <-time.After(wait):
		}
		b.set(func(s *State) { s.Phase, s.Until = Downloading, time.Time{} })
	}
}

// progress is how much an attempt has to bring to count as one.
const progress = 64 << 10

// localError is a trouble of ours, not the source's.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// errTooLong ends a blob that has more bytes than were declared.
var errTooLong = errors.New("the blob is longer than its manifest says")

func (b *Blob) final(err error) bool {
	var local localError
	return errors.As(err, &local) || errors.Is(err, errTooLong) || b.store.Final(err)
}

const chunk = 256 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// attempt reads from the source until its end, an error, or a silence.
func (b *Blob) attempt(file *os.File, sum hash.Hash, have int64) error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	defer cancel(nil)
	body, at, err := b.open(ctx, have)
	if err != nil {
		return err
	}
	defer body.Close()
	quiet := time.AfterFunc(b.store.Stall, func() {
		cancel(fmt.Errorf("nothing came for %s", b.store.Stall))
		body.Close()
	})
	defer quiet.Stop()
	whole := chunks.Get().(*[chunk]byte)
	defer chunks.Put(whole)
	buf := whole[:]
	skip := have - at // of a source that can only begin at the begin
	for {
		n, err := body.Read(buf)
		if n > 0 {
			quiet.Reset(b.store.Stall)
			data := buf[:n]
			if skip > 0 {
				drop := min(skip, int64(n))
				skip, data = skip-drop, data[drop:]
			}
			if have+int64(len(data)) > b.size {
				return errTooLong
			}
			if _, werr := file.WriteAt(data, have); werr != nil {
				return localError{werr}
			}
			sum.Write(data)
			have += int64(len(data))
			if len(data) > 0 {
				b.set(func(s *State) { s.Bytes = have })
			}
		}
		switch {
		case err == io.EOF && have == b.size:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w after %d of %d bytes", io.ErrUnexpectedEOF, have, b.size)
		case err != nil:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}

// Reader reads the blob while it arrives. Its end is the end of a blob that is
// what its digest says. It must be closed before the blob is released.
func (b *Blob) Reader(ctx context.Context) io.ReadCloser {
	r := &reader{b: b, ctx: ctx}
	r.stop = context.AfterFunc(ctx, b.wake)
	return r
}

type reader struct {
	b    *Blob
	ctx  context.Context
	stop func() bool
	off  int64
}

func (r *reader) Read(p []byte) (int, error) {
	b := r.b
	b.mu.Lock()
	for r.ctx.Err() == nil && r.off >= b.state.Bytes && b.state.Phase < Complete {
		b.changed.Wait()
	}
	state, err, file := b.state, b.err, b.file
	b.mu.Unlock()
	switch {
	case r.ctx.Err() != nil:
		return 0, r.ctx.Err()
	case state.Phase == Failed:
		return 0, err
	case r.off >= state.Bytes:
		return 0, io.EOF
	}
	n, err := file.ReadAt(p[:min(int64(len(p)), state.Bytes-r.off)], r.off)
	r.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (r *reader) Close() error {
	r.stop()
	return nil
}
