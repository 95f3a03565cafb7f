package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// initLayer is the layer between an image's top and its containers' own layers:
// it has the mount points of the files that the engine gives every container, so
// that they are not part of any diff. All images with the same top share it.
type initLayer struct {
	mu    sync.Mutex             // held while it is made
	ready atomic.Pointer[string] // its graph id; nil until then
}

// InitLayer gives the graph id of the layer on which containers of an image are
// put. It is made the first time. It is not found if the image is gone, and
// data loss if the image is damaged.
func (s *Store) InitLayer(ctx context.Context, id digest.Digest) (string, error) {
	img := s.Snapshot().ByID(id)
	if img == nil {
		return "", errs.NotFound("No such image: %s", id)
	}
	if img.Damage != nil {
		return "", errs.DataLoss("image %s is damaged: %v; load it again", id, img.Damage)
	}
	chain := img.Top()
	s.mu.Lock()
	init := s.inits[chain]
	s.mu.Unlock()
	if init != nil {
		if id := init.ready.Load(); id != nil {
			return *id, nil
		}
	}
	lease, err := s.Lease(img)
	if err != nil {
		return "", err
	}
	defer lease.Release()

	s.mu.Lock()
	init = s.inits[chain]
	if init == nil {
		init = &initLayer{}
		s.inits[chain] = init
	}
	below := ""
	if l := s.layers[chain]; l != nil {
		below = l.rec.GraphID
	}
	s.mu.Unlock()

	init.mu.Lock()
	defer init.mu.Unlock()
	if id := init.ready.Load(); id != nil {
		return *id, nil
	}
	graphID := s.newGraphID(initPrefix, chain)
	if err := s.makeInit(ctx, graphID, below); err != nil {
		s.removeGraph(graphID)
		return "", err
	}
	rec := initRecord{Version: formatVersion, GraphID: graphID}
	if err := durable.WriteJSON(s.FS, s.initPath(chain), rec, 0o600); err != nil {
		s.removeGraph(graphID)
		return "", err
	}
	init.ready.Store(&graphID)
	return graphID, nil
}

func (s *Store) makeInit(ctx context.Context, graphID, below string) (err error) {
	if err := s.Graph.CreateReadWrite(ctx, graphID, below, nil); err != nil {
		return err
	}
	dir, err := s.Graph.Get(ctx, graphID)
	if err != nil {
		return err
	}
	err = s.PopulateInit(dir)
	if perr := s.Graph.Put(context.WithoutCancel(ctx), graphID); err == nil {
		err = perr
	}
	if err != nil {
		return err
	}
	return graphdriver.Sync(ctx, s.Graph, graphID)
}

// Lease keeps the layers of a listed image, also when the image is removed.
func (s *Store) Lease(img *Image) (*Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.images[img.ID] == nil {
		return nil, errs.NotFound("No such image: %s", img.ID)
	}
	for _, chain := range img.Chain {
		if s.layers[chain] == nil {
			return nil, errs.DataLoss("image %s is damaged: layer %s is missing", img.ID, chain)
		}
	}
	for _, chain := range img.Chain {
		s.layers[chain].leases++
	}
	return &Lease{store: s, chain: img.Chain}, nil
}

// forgetInit removes the record of an init layer and gives what is to be
// removed from the graph driver. s.write is held.
func (s *Store) forgetInit(chain digest.Digest, init *initLayer) []string {
	if init == nil || init.ready.Load() == nil {
		return nil
	}
	if err := s.FS.Remove(s.initPath(chain)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warn("images: remove %s: %v", filepath.Base(s.initPath(chain)), err)
	}
	return []string{*init.ready.Load()}
}

// sweepInit removes the init layer of images without layers along with the last one.
func (s *Store) sweepInit(img *Image) []string {
	if len(img.Chain) > 0 {
		return nil // it goes with the top layer
	}
	s.mu.Lock()
	if s.hasLayerless() {
		s.mu.Unlock()
		return nil
	}
	init := s.inits[""]
	delete(s.inits, "")
	s.mu.Unlock()
	return s.forgetInit("", init)
}

// hasLayerless tells whether there is an image without layers; s.mu is held.
func (s *Store) hasLayerless() bool {
	for _, img := range s.images {
		if len(img.Chain) == 0 {
			return true
		}
	}
	return false
}
