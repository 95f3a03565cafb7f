package store

import (
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
)

// When an image was last used is the date of its record: a record that is written
// anew, by a tag or a pull, is a use too. A date that is lost makes an image look
// older than it is, no more.

// Used notes that an image is used now.
func (s *Store) Used(id digest.Digest) {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(s.imageDir(id), "image.json"), now, now)
}

// LastUsed tells when that was; zero if it is not known.
func (s *Store) LastUsed(id digest.Digest) time.Time {
	info, err := s.FS.Lstat(filepath.Join(s.imageDir(id), "image.json"))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
