package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/internal/durable"
)

// Origin is a manifest under which a registry has an image: because it came from
// there, or was pushed to it. It says which blob each layer is, so that a push
// can leave out what the registry has, and give the image the digest that it had.
type Origin struct {
	Repository string // as references have it, without a tag
	MediaType  string
	Manifest   []byte // as the registry has it
}

const (
	originsFile = "origins.json"
	maxOrigins  = 16 // of an image; the oldest are forgotten

	maxOriginBytes = 4 << 20 // of their manifests
)

// originsRecord is origins.json. What is in it can be had again from registries:
// damage costs an upload, not an image.
type originsRecord struct {
	Version int
	Origins []Origin // newest last
}

// Origins gives where an image is from, newest first.
func (s *Store) Origins(id digest.Digest) []Origin {
	origins := s.readOrigins(id)
	slices.Reverse(origins)
	return origins
}

func (s *Store) readOrigins(id digest.Digest) []Origin {
	var rec originsRecord
	err := durable.ReadJSON(s.FS, filepath.Join(s.imageDir(id), originsFile), &rec)
	if err != nil || rec.Version != formatVersion {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.warn("images: where image %s came from is forgotten: %v", id, err)
		}
		return nil
	}
	return rec.Origins
}

// AddOrigin remembers one more.
func (s *Store) AddOrigin(id digest.Digest, o Origin) {
	s.write.Lock()
	defer s.write.Unlock()
	s.addOrigin(id, o)
}

// addOrigin is AddOrigin with s.write held. That it fails is a push that takes
// longer, no more.
func (s *Store) addOrigin(id digest.Digest, o Origin) {
	if s.Snapshot().ByID(id) == nil {
		return
	}
	origins := s.readOrigins(id)
	same := func(x Origin) bool { return x.Repository == o.Repository && string(x.Manifest) == string(o.Manifest) }
	if n := len(origins); n > 0 && same(origins[n-1]) {
		return
	}
	origins = append(slices.DeleteFunc(origins, same), o)
	origins = origins[max(0, len(origins)-maxOrigins):]
	for len(origins) > 1 { // a record has a limit
		sum := 0
		for _, o := range origins {
			sum += len(o.Manifest)
		}
		if sum <= maxOriginBytes {
			break
		}
		origins = origins[1:]
	}
	if err := durable.WriteJSONUnsynced(s.FS, filepath.Join(s.imageDir(id), originsFile), originsRecord{formatVersion, origins}, 0o600); err != nil {
		s.warn("images: where image %s came from is not written down: %v", id, err)
	}
}
