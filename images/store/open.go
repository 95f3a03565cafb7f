package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// Open reads what is there and removes what nobody owns. Damage of single
// records is told to Warn and is no error.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.FS == nil {
		cfg.FS = durable.OS
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 2
	}
	s := &Store{
		Config:      cfg,
		independent: graphdriver.CapabilitiesOf(cfg.Graph).IndependentLayers,
		images:      map[digest.Digest]*Image{},
		layers:      map[digest.Digest]*layer{},
		flights:     map[digest.Digest]*flight{},
		inits:       map[digest.Digest]*initLayer{},
		stale:       map[digest.Digest]bool{},
		garbage:     map[string]bool{},
	}
	for _, dir := range []string{"configs", "layers", "inits", "tmp"} {
		dir = filepath.Join(s.Root, dir)
		if err := durable.MkdirAll(s.FS, dir, 0o700); err != nil {
			return nil, err
		}
		if err := durable.Sweep(s.FS, dir); err != nil {
			s.warn("images: clean up %s: %v", dir, err)
		}
	}
	s.emptyTemp()
	if err := s.readLayers(ctx); err != nil {
		return nil, err
	}
	if err := s.readImages(); err != nil {
		return nil, err
	}
	if err := s.readInits(ctx); err != nil {
		return nil, err
	}
	if err := s.removeUnowned(ctx); err != nil {
		s.warn("images: look for files that nobody owns: %v", err)
	}
	s.changed()
	return s, nil
}

func (s *Store) emptyTemp() {
	entries, err := s.FS.ReadDir(s.TempDir())
	for _, e := range entries {
		err = errors.Join(err, s.FS.RemoveAll(filepath.Join(s.TempDir(), e.Name())))
	}
	if err != nil {
		s.warn("images: empty %s: %v", s.TempDir(), err)
	}
}

// digestNames lists a folder whose entries are named by digests; others are told to Warn.
func (s *Store) digestNames(dir, suffix string) ([]digest.Digest, error) {
	entries, err := s.FS.ReadDir(filepath.Join(s.Root, dir))
	if err != nil {
		return nil, err
	}
	var ids []digest.Digest
	for _, e := range entries {
		if durable.IsLeftover(e.Name()) {
			continue
		}
		id := digest.NewDigestFromEncoded(digest.SHA256, strings.TrimSuffix(e.Name(), suffix))
		if id.Validate() != nil {
			if e.Name() != initKey("")+suffix {
				s.warn("images: %s is not of the store's making; leaving it alone", filepath.Join(s.Root, dir, e.Name()))
			}
			continue
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (s *Store) readLayers(ctx context.Context) error {
	chains, err := s.digestNames("layers", "")
	if err != nil {
		return err
	}
	for _, chain := range chains {
		l := &layer{}
		l.damage = s.readLayer(ctx, chain, &l.rec)
		if l.damage != nil {
			s.warn("images: layer %s is damaged: %v; load an image that has it again", chain, l.damage)
		}
		s.layers[chain] = l
	}
	// A layer is no better than those below it.
	for changed := true; changed; {
		changed = false
		for chain, l := range s.layers {
			if l.damage != nil || l.rec.Parent == "" {
				continue
			}
			if p := s.layers[l.rec.Parent]; p == nil || p.damage != nil {
				l.damage = errs.DataLoss("layer %s below it is damaged or missing", l.rec.Parent)
				s.warn("images: layer %s is damaged: %v", chain, l.damage)
				changed = true
			}
		}
	}
	return nil
}

func (s *Store) readLayer(ctx context.Context, chain digest.Digest, rec *layerRecord) error {
	if err := durable.ReadJSON(s.FS, filepath.Join(s.layerDir(chain), "layer.json"), rec); err != nil {
		*rec = layerRecord{}
		return err
	}
	switch {
	case rec.Version != formatVersion:
		return errs.DataLoss("record has the version %d, not %d", rec.Version, formatVersion)
	case chainID(rec.Parent, rec.DiffID) != chain:
		*rec = layerRecord{}
		return errs.DataLoss("record is of another layer")
	case !s.Graph.Exists(ctx, rec.GraphID):
		return errs.DataLoss("its files are missing")
	}
	if err := graphdriver.Check(ctx, s.Graph, rec.GraphID); err != nil {
		return err
	}
	if rec.Tar != "" {
		if _, err := s.FS.Lstat(filepath.Join(s.layerDir(chain), tarFile(rec.Tar))); err != nil {
			s.warn("images: layer %s has lost the form of its tar: %v; load an image that has it again before saving it", chain, err)
			rec.Tar, rec.TarBytes = "", 0
		}
	}
	return nil
}

func (s *Store) readImages() error {
	ids, err := s.digestNames("configs", "")
	if err != nil {
		return err
	}
	for _, id := range ids {
		img := s.readImage(id)
		if img.Damage != nil {
			s.warn("images: image %s is damaged: %v; remove it or load it again", id, img.Damage)
		}
		s.images[id] = img
		s.count(img, +1)
	}
	s.settleNames()
	return nil
}

func (s *Store) readImage(id digest.Digest) *Image {
	config, err := durable.Read(s.FS, filepath.Join(s.imageDir(id), "config.json"))
	if err == nil && digest.FromBytes(config) != id {
		err = errs.DataLoss("its config does not have the digest that is the image's id")
	}
	var img *Image
	if err == nil {
		img, err = ParseConfig(config)
	}
	if err != nil {
		img = &Image{ID: id, Damage: err}
	}
	img.names = map[string]uint64{}
	var rec imageRecord
	if err := durable.ReadJSON(s.FS, filepath.Join(s.imageDir(id), "image.json"), &rec); err != nil {
		// The image itself is good; what is lost are its names.
		s.warn("images: image %s has lost its names: %v; tag it again", id, err)
		rec = imageRecord{Version: formatVersion}
	}
	if rec.Version != formatVersion && img.Damage == nil {
		img.Damage = errs.DataLoss("record has the version %d, not %d", rec.Version, formatVersion)
	}
	img.Parent, img.Beside, img.LastTagged = rec.Parent, rec.Beside, rec.LastTagged
	for _, n := range rec.Names {
		img.names[n.Name] = n.Sequence
		s.lastSeq = max(s.lastSeq, n.Sequence)
	}
	if img.Chain == nil && img.Damage != nil {
		img.Chain = rec.Layers
	}
	for _, chain := range img.Chain {
		l := s.layers[chain]
		switch {
		case l == nil && img.Damage == nil:
			img.Damage, img.layers = errs.DataLoss("layer %s is missing", chain), true
		case l != nil:
			img.SizeBytes += l.rec.SizeBytes
			if l.damage != nil && img.Damage == nil {
				img.Damage, img.layers = fmt.Errorf("layer %s: %w", chain, l.damage), true
			}
		}
	}
	return img
}

// settleNames leaves each name with the image whose sequence number is highest.
func (s *Store) settleNames() {
	owner := map[string]*Image{}
	for _, id := range slices.Sorted(maps.Keys(s.images)) {
		img := s.images[id]
		for name, seq := range img.names {
			if have := owner[name]; have == nil || seq > have.names[name] {
				owner[name] = img
			}
		}
	}
	for id, img := range s.images {
		for name := range img.names {
			if owner[name] != img {
				delete(img.names, name)
				s.stale[id] = true
			}
		}
		img.sortNames()
	}
}

func (s *Store) readInits(ctx context.Context) error {
	chains, err := s.digestNames("inits", ".json")
	if err != nil {
		return err
	}
	if _, err := s.FS.Lstat(s.initPath("")); err == nil {
		chains = append(chains, "")
	}
	for _, chain := range chains {
		var rec initRecord
		err := durable.ReadJSON(s.FS, s.initPath(chain), &rec)
		l := s.layers[chain]
		// A record of a newer version is none of ours either.
		if err != nil || rec.Version != formatVersion || chain == "" && !s.hasLayerless() || chain != "" && (l == nil || l.damage != nil) || !s.Graph.Exists(ctx, rec.GraphID) {
			// Made again when it is needed.
			if err := s.FS.Remove(s.initPath(chain)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.warn("images: remove %s: %v", s.initPath(chain), err)
			}
			continue
		}
		s.inits[chain] = &initLayer{}
		s.inits[chain].ready.Store(&rec.GraphID)
	}
	return nil
}

// removeUnowned removes layers that no image has and no container stands on,
// and files in the graph driver that no record knows.
func (s *Store) removeUnowned(ctx context.Context) error {
	parents, err := s.graphParents(ctx)
	if err != nil || parents == nil {
		return err
	}
	inUse := foreignAncestors(parents)
	var chains []digest.Digest
	for chain, l := range s.layers {
		if l.images > 0 {
			continue
		}
		l.held = inUse[l.rec.GraphID]
		if !l.held {
			chains = append(chains, chain)
		}
	}
	s.topFirst(chains)
	_, graphIDs := s.sweepLayers(slices.All(chains))
	s.removeGraph(graphIDs...)

	owned := map[string]bool{}
	var damaged []string // the begins of ids that layers with unreadable records have
	for chain, l := range s.layers {
		owned[l.rec.GraphID] = true
		if l.rec.GraphID == "" {
			damaged = append(damaged, graphIDBegin(layerPrefix, chain))
		}
	}
	for _, init := range s.inits {
		owned[*init.ready.Load()] = true
	}
	var unowned []string
	for id := range parents {
		ofDamaged := slices.ContainsFunc(damaged, func(begin string) bool { return strings.HasPrefix(id, begin) })
		switch {
		case !isOurs(id) || owned[id] || ofDamaged:
		case inUse[id]:
			s.garbage[id] = true // when the container is gone
		default:
			unowned = append(unowned, id)
		}
	}
	s.removeGraph(childrenFirst(unowned, parents)...)
	return nil
}
