package fetch

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// Kept is what is left of a download that broke off, to be resumed.
type Kept struct {
	Digest  digest.Digest
	Bytes   int64
	Written time.Time // last
}

// Kept lists the files that nobody downloads now, oldest first.
func (s *Store) Kept() ([]Kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var kept []Kept
	for _, f := range files {
		d := digest.NewDigestFromEncoded(digest.SHA256, f.Name())
		if s.blobs[d] != nil {
			continue
		}
		if info, err := f.Info(); err == nil {
			kept = append(kept, Kept{d, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(kept, func(a, b Kept) int { return a.Written.Compare(b.Written) })
	return kept, err
}
