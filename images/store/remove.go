package store

import (
	"context"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// ErrChanged says that an image is not what it was any more: look again.
var ErrChanged = errs.Conflict("the image was changed by someone else at the same time")

// Remove removes an image with its names, and those of its layers that nothing
// else needs: their chain ids are the result, from the top. With keep, which is
// for an image that containers stand on, its layers stay as long as they do.
// ErrChanged if img is not from the newest snapshot that has it.
func (s *Store) Remove(img *Image, keep bool) ([]digest.Digest, error) {
	removed, graphIDs, err := s.remove(img, keep)
	s.removeGraph(graphIDs...)
	return removed, err
}

func (s *Store) remove(img *Image, keep bool) (removed []digest.Digest, graphIDs []string, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	id := img.ID
	if s.Snapshot().ByID(id) != img {
		return nil, nil, ErrChanged
	}
	if err := s.rewriteStale(); err != nil { // or a name of this one would be back at another
		return nil, nil, err
	}
	if err := durable.RemoveTree(s.FS, s.imageDir(id)); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	delete(s.images, id)
	if img.Damage == nil {
		s.count(img, -1)
	} else {
		s.recount()
	}
	if keep {
		for _, chain := range img.Chain {
			if l := s.layers[chain]; l != nil && l.images == 0 {
				l.held = true
			}
		}
	}
	s.changed()
	s.mu.Unlock()
	removed, graphIDs = s.sweepLayers(slices.Backward(img.Chain))
	return removed, append(graphIDs, s.sweepInit(img)...), nil
}

// release gives up leases.
func (s *Store) release(chain []digest.Digest) {
	if len(chain) == 0 {
		return
	}
	s.mu.Lock()
	unused := false
	for _, c := range chain {
		l := s.layers[c]
		l.leases--
		unused = unused || l.unused()
	}
	s.mu.Unlock()
	if !unused {
		return
	}
	s.write.Lock()
	_, graphIDs := s.sweepLayers(slices.Backward(chain))
	s.write.Unlock()
	s.removeGraph(graphIDs...)
}

// sweepLayers removes the records of those layers, given from the top, that
// nothing needs, and tells what is to be removed from the graph driver then,
// uppermost first. s.write is held.
func (s *Store) sweepLayers(fromTop func(yield func(int, digest.Digest) bool)) (removed []digest.Digest, graphIDs []string) {
	for _, chain := range fromTop {
		s.mu.Lock()
		l := s.layers[chain]
		if l == nil || !l.unused() {
			s.mu.Unlock()
			continue
		}
		delete(s.layers, chain)
		init := s.inits[chain]
		delete(s.inits, chain)
		s.mu.Unlock()
		// Not synced: a record that comes back after a power cut has no image,
		// and Open removes it.
		if err := durable.RemoveTreeUnsynced(s.FS, s.layerDir(chain)); err != nil {
			s.warn("images: remove layer %s: %v", chain, err)
		}
		graphIDs = append(graphIDs, s.forgetInit(chain, init)...)
		if l.rec.GraphID != "" {
			graphIDs = append(graphIDs, l.rec.GraphID)
		}
		removed = append(removed, chain)
	}
	return removed, graphIDs
}

// removeGraph removes layers from the graph driver, in the order given. What
// cannot be removed now is tried again later.
func (s *Store) removeGraph(ids ...string) {
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		// What was begun is ended, also if the client who asked for it is gone.
		err := s.Graph.Remove(context.Background(), id)
		s.mu.Lock()
		if err != nil {
			s.garbage[id] = true
		} else {
			delete(s.garbage, id)
			s.made.Delete(id)
		}
		s.mu.Unlock()
		if err != nil {
			s.warn("images: remove the files of layer %s: %v; tried again later", id, err)
		}
	}
}

// Reclaimable tells whether Reclaim may have something to do.
func (s *Store) Reclaimable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.garbage) > 0 {
		return true
	}
	for _, l := range s.layers {
		if l.held {
			return true
		}
	}
	return false
}

// Reclaim removes what was kept for containers that are gone by now, and what
// could not be removed before. It costs nothing when there is no such thing.
func (s *Store) Reclaim(ctx context.Context) error {
	if !s.Reclaimable() {
		return nil
	}
	parents, err := s.graphParents(ctx)
	if err != nil || parents == nil {
		return err
	}
	inUse := foreignAncestors(parents)
	s.removeGraph(s.dropUnheld(inUse)...)

	s.mu.Lock()
	var garbage []string
	for id := range s.garbage {
		if !inUse[id] {
			garbage = append(garbage, id)
		}
	}
	s.mu.Unlock()
	s.removeGraph(childrenFirst(garbage, parents)...)
	return nil
}

// dropUnheld removes the records of held layers that no container stands on.
func (s *Store) dropUnheld(inUse map[string]bool) (graphIDs []string) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	var chains []digest.Digest
	for chain, l := range s.layers {
		if l.held && !inUse[l.rec.GraphID] {
			l.held = false
			chains = append(chains, chain)
		}
	}
	s.topFirst(chains)
	s.mu.Unlock()
	_, graphIDs = s.sweepLayers(slices.All(chains))
	return graphIDs
}

// topFirst sorts chain ids so that a layer comes before those below it; s.mu is held.
func (s *Store) topFirst(chains []digest.Digest) {
	depth := func(c digest.Digest) (n int) {
		for l := s.layers[c]; l != nil && n < len(s.layers); l = s.layers[l.rec.Parent] {
			n++
		}
		return n
	}
	slices.SortFunc(chains, func(a, b digest.Digest) int { return depth(b) - depth(a) })
}

// graphParents gives the parent of every layer in the graph driver; nil when
// the driver cannot list its layers.
func (s *Store) graphParents(ctx context.Context) (map[string]string, error) {
	lister, ok := s.Graph.(graphdriver.Lister)
	if !ok {
		return nil, nil
	}
	ids, err := lister.List(ctx)
	if err != nil {
		return nil, err
	}
	parents := make(map[string]string, len(ids))
	for _, id := range ids {
		// A layer whose parent cannot be told is damaged; it keeps nothing.
		parents[id], _ = s.Graph.Parent(ctx, id)
	}
	return parents, nil
}

// foreignAncestors gives all layers that layers which are not the store's stand on.
func foreignAncestors(parents map[string]string) map[string]bool {
	inUse := map[string]bool{}
	for id := range parents {
		if isOurs(id) {
			continue
		}
		for p := parents[id]; p != "" && !inUse[p]; p = parents[p] {
			inUse[p] = true
		}
	}
	return inUse
}

func isOurs(graphID string) bool {
	return strings.HasPrefix(graphID, layerPrefix) || strings.HasPrefix(graphID, initPrefix)
}

// childrenFirst sorts graph ids so that they can be removed in that order.
func childrenFirst(ids []string, parents map[string]string) []string {
	depth := func(id string) (n int) {
		for p := parents[id]; p != "" && n < len(parents); p = parents[p] {
			n++
		}
		return n
	}
	slices.Sort(ids)
	slices.SortStableFunc(ids, func(a, b string) int { return depth(b) - depth(a) })
	return ids
}
