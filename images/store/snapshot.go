package store

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"
)

// Snapshot is all images at one moment. It is shared and never changed.
type Snapshot struct {
	Images []*Image // newest first
	byID   map[digest.Digest]*Image
	byName map[string]*Image
	kids   map[digest.Digest][]digest.Digest
}

// ByID gives the image with that id, or nil.
func (s *Snapshot) ByID(id digest.Digest) *Image { return s.byID[id] }

// ByName gives the image with that canonical reference, or nil.
func (s *Snapshot) ByName(name string) *Image { return s.byName[name] }

// Children gives the ids of the images that were made here from this one.
func (s *Snapshot) Children(id digest.Digest) []digest.Digest { return s.kids[id] }

func newSnapshot(images map[digest.Digest]*Image) *Snapshot {
	s := &Snapshot{
		Images: make([]*Image, 0, len(images)),
		byID:   make(map[digest.Digest]*Image, len(images)),
		byName: make(map[string]*Image, len(images)),
		kids:   map[digest.Digest][]digest.Digest{},
	}
	for id, img := range images {
		s.Images = append(s.Images, img)
		s.byID[id] = img
		for _, name := range img.Names {
			s.byName[name] = img
		}
		if img.Parent != "" {
			s.kids[img.Parent] = append(s.kids[img.Parent], id)
		}
	}
	slices.SortFunc(s.Images, func(a, b *Image) int {
		return cmp.Or(b.Created().Compare(a.Created()), cmp.Compare(a.ID, b.ID))
	})
	return s
}
