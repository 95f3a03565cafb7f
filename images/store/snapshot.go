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
	others map[digest.Digest][]*Image
}

// ByID gives the image with that id, or nil.
func (s *Snapshot) ByID(id digest.Digest) *Image { return s.byID[id] }

// ByName gives the image with that canonical reference, or nil.
func (s *Snapshot) ByName(name string) *Image { return s.byName[name] }

// Children gives the ids of the images that were made here from this one.
func (s *Snapshot) Children(id digest.Digest) []digest.Digest { return s.kids[id] }

// Others gives the images that this one is for other platforms, newest first.
func (s *Snapshot) Others(id digest.Digest) []*Image { return s.others[id] }

// Mains gives the images whose names lead to this one, too, for its platform.
func (s *Snapshot) Mains(img *Image) []*Image {
	var mains []*Image
	for _, id := range img.Beside {
		if main := s.byID[id]; main != nil && id != img.ID {
			mains = append(mains, main)
		}
	}
	return mains
}

func newSnapshot(images map[digest.Digest]*Image) *Snapshot {
	s := &Snapshot{
		Images: make([]*Image, 0, len(images)),
		byID:   make(map[digest.Digest]*Image, len(images)),
		byName: make(map[string]*Image, len(images)),
		kids:   map[digest.Digest][]digest.Digest{},
		others: map[digest.Digest][]*Image{},
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
	for _, img := range s.Images {
		for _, main := range s.Mains(img) {
			s.others[main.ID] = append(s.others[main.ID], img)
		}
	}
	return s
}
