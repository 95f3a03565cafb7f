package store

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// Fault is something in a store that is not as it should be.
type Fault struct {
	Kind    string // image or layer
	Object  string
	Problem string
	Image   *Image       // that is damaged; nil for a layer
	Cure    func() error // takes the fault away; nil where that would lose an object
}

// Check looks through records and layers, without reading all the layers' files.
// Layers in the graph driver that nobody owns are found if they are not of this
// process's making: those are looked after anyway.
func (s *Store) Check(ctx context.Context) ([]Fault, error) {
	var faults []Fault
	s.mu.Lock()
	images := slices.SortedFunc(maps.Values(s.images), func(a, b *Image) int { return compare(a.ID, b.ID) })
	layers := maps.Clone(s.layers)
	owned := map[string]bool{}
	s.made.Range(func(id, _ any) bool { owned[id.(string)] = true; return true })
	for _, l := range layers {
		owned[l.rec.GraphID] = true
	}
	for _, init := range s.inits {
		if id := init.ready.Load(); id != nil {
			owned[*id] = true
		}
	}
	var damagedBegins []string
	for chain, l := range layers {
		if l.rec.GraphID == "" {
			damagedBegins = append(damagedBegins, graphIDBegin(layerPrefix, chain))
		}
	}
	s.mu.Unlock()

	for _, img := range images {
		problem := ""
		if img.Damage != nil {
			problem = img.Damage.Error()
		}
		for _, chain := range img.Chain {
			if l := layers[chain]; problem == "" && l != nil {
				if err := graphdriver.Check(ctx, s.Graph, l.rec.GraphID); err != nil {
					problem = err.Error()
				}
			}
		}
		if problem != "" && s.Snapshot().ByID(img.ID) != nil {
			faults = append(faults, Fault{Kind: "image", Object: img.ID.String(), Problem: problem, Image: img})
			continue
		}
		if _, err := s.imageRecordOnDisk(img.ID); err != nil && s.Snapshot().ByID(img.ID) == img {
			faults = append(faults, Fault{
				Kind: "image", Object: img.ID.String(), Problem: err.Error(), Image: img,
				Cure: func() error { return s.rewriteRecord(img.ID) },
			})
		}
	}
	parents, err := s.graphParents(ctx)
	if err != nil {
		return faults, err
	}
	inUse := foreignAncestors(parents)
	for _, id := range slices.Sorted(maps.Keys(parents)) {
		ofDamaged := slices.ContainsFunc(damagedBegins, func(begin string) bool { return len(id) >= len(begin) && id[:len(begin)] == begin })
		if !isOurs(id) || owned[id] || inUse[id] || ofDamaged {
			continue
		}
		faults = append(faults, Fault{
			Kind: "layer", Object: id, Problem: "no image has it",
			Cure: func() error { return s.Graph.Remove(ctx, id) },
		})
	}
	return faults, nil
}

func compare(a, b digest.Digest) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rewriteRecord writes down what is known of an image.
func (s *Store) rewriteRecord(id digest.Digest) error {
	s.write.Lock()
	defer s.write.Unlock()
	img := s.Snapshot().ByID(id)
	if img == nil {
		return nil // removed meanwhile
	}
	return s.writeImageRecord(img, durable.WriteJSON)
}

// imageRecordOnDisk reads the record of an image again.
func (s *Store) imageRecordOnDisk(id digest.Digest) (rec imageRecord, err error) {
	path := filepath.Join(s.imageDir(id), "image.json")
	if err := durable.ReadJSON(s.FS, path, &rec); err != nil {
		return rec, err
	}
	if rec.Version != formatVersion {
		return rec, errs.DataLoss("record has the version %d, not %d", rec.Version, formatVersion)
	}
	return rec, nil
}
