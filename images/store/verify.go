package store

import (
	"context"
	"io"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Verify reads all files of all layers and compares each layer with the digest
// that it came with: its tar is made from them as for a save. It tells the first
// damaged layer of each image. Of a layer whose tar is kept whole, since its files
// cannot give it back, that tar is read; owners and modes come from what is kept
// of the tar, and are not compared.
func (s *Store) Verify(ctx context.Context) ([]Fault, error) {
	s.mu.Lock()
	images := slices.SortedFunc(maps.Values(s.images), func(a, b *Image) int { return compare(a.ID, b.ID) })
	s.mu.Unlock()
	var faults []Fault
	known := map[digest.Digest]error{}
	for _, img := range images {
		if img.Damage != nil {
			continue // Check tells
		}
		problem, err := s.verify(ctx, img, known)
		if err != nil {
			return faults, err
		}
		if problem != nil && s.Snapshot().ByID(img.ID) != nil {
			faults = append(faults, Fault{Kind: "image", Object: img.ID.String(), Problem: problem.Error(), Image: img})
		}
	}
	return faults, nil
}

// verify gives what is wrong with an image's layers; known is what was found of
// layers before. err is that it could not be found out.
func (s *Store) verify(ctx context.Context, img *Image, known map[digest.Digest]error) (problem, err error) {
	lease, err := s.Lease(img)
	if err != nil {
		return nil, nil // it was removed meanwhile
	}
	defer lease.Release()
	for _, chain := range img.Chain {
		problem, done := known[chain]
		if !done {
			rec, err := s.tarRecord(ctx, chain)
			if err == nil {
				_, err = s.writeTar(ctx, io.Discard, chain, rec)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil && !errdefs.IsDataLoss(err) {
				return nil, err
			}
			problem = err
			known[chain] = err
		}
		if problem != nil {
			return problem, nil
		}
	}
	return nil, nil
}
