package fetch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// KeepFor is how long a download that broke off can be resumed.
const KeepFor = 7 * 24 * time.Hour

// Source opens a blob. at is where body really begins: offset, or 0 where the
// registry gives whole blobs only.
type Source func(ctx context.Context, offset int64) (body io.ReadCloser, at int64, err error)

// Config is what a Store is opened with.
type Config struct {
	Dir string // for the files; made if missing
	// Parallel is how many blobs are downloaded at the same time; 0 is 3.
	Parallel int
	// Attempts is how often in a row a download may fail without getting any
	// further; 0 is 5.
	Attempts int
	// Wait is the pause before the second attempt, doubled each time; 0 is two seconds.
	Wait time.Duration
	// Stall is how long nothing may come; 0 is a minute.
	Stall time.Duration
	// Final tells the errors that no other attempt can cure.
	Final func(error) bool
	// Later tells how long a source wants to be left alone.
	Later func(error) time.Duration
}

// Store has the blobs that are being downloaded.
type Store struct {
	Config
	mu     sync.Mutex
	blobs  map[digest.Digest]*Blob
	queue  []*Blob // wait for a slot, in order
	active int
}

// Open makes the folder and removes what nobody came back for.
func Open(cfg Config) (*Store, error) {
	if cfg.Parallel <= 0 {
		cfg.Parallel = 3
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 5
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 2 * time.Second
	}
	if cfg.Stall <= 0 {
		cfg.Stall = time.Minute
	}
	if cfg.Final == nil {
		cfg.Final = func(error) bool { return false }
	}
	if cfg.Later == nil {
		cfg.Later = func(error) time.Duration { return 0 }
	}
	s := &Store{Config: cfg, blobs: map[digest.Digest]*Blob{}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return s, err // the downloads will say so; a full disk is no reason not to start
	}
	_, err := s.Purge(time.Now().Add(-KeepFor))
	return s, err
}

// Purge removes the kept files that were last written before a time, and gives
// their bytes.
func (s *Store) Purge(before time.Time) (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := os.ReadDir(s.Dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		return 0, err
	}
	for _, f := range files {
		if s.blobs[digest.NewDigestFromEncoded(digest.SHA256, f.Name())] != nil {
			continue
		}
		if info, ierr := f.Info(); ierr == nil && info.ModTime().Before(before) {
			if rerr := os.Remove(filepath.Join(s.Dir, f.Name())); rerr == nil {
				freed += info.Size()
			} else {
				err = rerr
			}
		}
	}
	return freed, err
}

// Forget removes what is kept of a blob, if nobody downloads it now, and tells
// whether it did.
func (s *Store) Forget(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[d] == nil && os.Remove(filepath.Join(s.Dir, d.Encoded())) == nil
}

// Get begins to download a blob, or joins who does. Release it.
func (s *Store) Get(d digest.Digest, size int64, open Source) *Blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		b := s.blobs[d]
		if b == nil {
			break
		}
		if b.join() {
			return b
		}
		// It has failed, or is being given up: its file is in nobody's way soon.
		s.mu.Unlock()
		<-b.gone
		s.mu.Lock()
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Blob{
		store: s, digest: d, size: size, open: open, ctx: ctx, cancel: cancel,
		users: 1, turn: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
		path: filepath.Join(s.Dir, d.Encoded()),
	}
	b.changed = sync.NewCond(&b.mu)
	s.blobs[d] = b
	if s.active < s.Parallel {
		s.active++
		close(b.turn)
		b.state.Phase = Downloading
	} else {
		s.queue = append(s.queue, b)
	}
	go b.run()
	return b
}

// leave gives the slot of a blob to the next one, or its place in the queue up.
func (s *Store) leave(b *Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, waiting := range s.queue {
		if waiting == b {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return
		}
	}
	if len(s.queue) > 0 && s.active <= s.Parallel {
		next := s.queue[0]
		s.queue = s.queue[1:]
		close(next.turn)
		return
	}
	s.active--
}

// Limit changes how many blobs are downloaded at the same time, and how often one
// may fail. What is under way goes on.
func (s *Store) Limit(parallel, attempts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if parallel > 0 {
		s.Parallel = parallel
	}
	if attempts > 0 {
		s.Attempts = attempts
	}
	for len(s.queue) > 0 && s.active < s.Parallel {
		s.active++
		close(s.queue[0].turn)
		s.queue = s.queue[1:]
	}
}

func (s *Store) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Attempts
}

func (s *Store) forget(b *Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs[b.digest] == b {
		delete(s.blobs, b.digest)
	}
	close(b.gone)
}
