package store

import (
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
)

// Config is what a store is opened with.
type Config struct {
	Root  string             // of the store's own folder; made if missing
	Graph graphdriver.Driver // has the files of the layers
	FS    durable.FS         // nil is durable.OS
	// MaxLayerBytes bounds the uncompressed tar of a layer; 0 is no limit.
	MaxLayerBytes int64
	// Parallel is how many layers of an image are unpacked at the same time,
	// where the graph driver can; 0 is 2.
	Parallel int
	// PopulateInit puts the mount points of runtime files into an init layer.
	PopulateInit func(dir string) error
	// Warn is told of damage and of what could not be removed, one line each;
	// nil tells nobody.
	Warn func(format string, args ...any)
}

// Store keeps images. Its methods may be called at the same time.
type Store struct {
	Config
	independent bool // the driver's layers may be filled in parallel

	// write is held by whoever changes records. mu guards what follows and is
	// never held across a call to disk or driver.
	write   sync.Mutex
	mu      sync.Mutex
	images  map[digest.Digest]*Image
	layers  map[digest.Digest]*layer // by chain id
	flights map[digest.Digest]*flight
	inits   map[digest.Digest]*initLayer
	stale   map[digest.Digest]bool // images whose record still claims a name that moved
	garbage map[string]bool        // graph layers that could not be removed yet
	made    sync.Map               // graph layers of this process's making
	lastSeq uint64

	snapshot atomic.Pointer[Snapshot]
}

// layer is a layer whose record is on disk.
type layer struct {
	rec    layerRecord
	images int  // that have it
	leases int  // held by those who are about to publish an image
	held   bool // no image has it, but a container may stand on it
	damage error
}

func (l *layer) unused() bool { return l.images == 0 && l.leases == 0 && !l.held }

// Snapshot gives all images as of now.
func (s *Store) Snapshot() *Snapshot { return s.snapshot.Load() }

// InFlight is the number of layers that are being unpacked right now.
func (s *Store) InFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights)
}

// TempDir is the folder for what is being loaded; Open empties it. Names in it
// are made with durable.TempName.
func (s *Store) TempDir() string { return filepath.Join(s.Root, "tmp") }

// HasLayer tells whether a layer is published and good.
func (s *Store) HasLayer(chain digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.layers[chain]
	return l != nil && l.damage == nil
}

// LayerSize gives the bytes of the files of a published layer.
func (s *Store) LayerSize(chain digest.Digest) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.layers[chain]; l != nil {
		return l.rec.SizeBytes
	}
	return 0
}

// Layer is a layer and its place in the graph driver.
type Layer struct {
	Chain     digest.Digest
	GraphID   string
	SizeBytes int64
}

// Layers gives the layers of an image from the bottom; those that are missing
// are left out.
func (s *Store) Layers(img *Image) []Layer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Layer, 0, len(img.Chain))
	for _, chain := range img.Chain {
		if l := s.layers[chain]; l != nil {
			out = append(out, Layer{chain, l.rec.GraphID, l.rec.SizeBytes})
		}
	}
	return out
}

// SharedBytes gives for each of the images the bytes of those of its layers that
// another one of them has too.
func (s *Store) SharedBytes(images []*Image) map[digest.Digest]int64 {
	users := map[digest.Digest]int{}
	for _, img := range images {
		for _, chain := range img.Chain {
			users[chain]++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := make(map[digest.Digest]int64, len(images))
	for _, img := range images {
		for _, chain := range img.Chain {
			if l := s.layers[chain]; l != nil && users[chain] > 1 {
				shared[img.ID] += l.rec.SizeBytes
			}
		}
	}
	return shared
}

// LayersBytes is what the files of all layers take.
func (s *Store) LayersBytes() (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.layers {
		sum += l.rec.SizeBytes
	}
	return sum
}

// changed makes the snapshot follow s.images; s.mu is held.
func (s *Store) changed() { s.snapshot.Store(newSnapshot(s.images)) }

func (s *Store) imageDir(id digest.Digest) string {
	return filepath.Join(s.Root, "configs", id.Encoded())
}

func (s *Store) layerDir(chain digest.Digest) string {
	return filepath.Join(s.Root, "layers", chain.Encoded())
}

func (s *Store) initPath(chain digest.Digest) string {
	return filepath.Join(s.Root, "inits", initKey(chain)+".json")
}

func (s *Store) warn(format string, args ...any) {
	if s.Warn != nil {
		s.Warn(format, args...)
	}
}

// The ids of the store's layers in the graph driver: what kind, the begin of
// the chain id (so that the files of a layer with a damaged record can be told
// from those that nobody owns), and a random part.
const (
	layerPrefix = "l-"
	initPrefix  = "i-"
)

func (s *Store) newGraphID(prefix string, chain digest.Digest) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	id := graphIDBegin(prefix, chain) + hex.EncodeToString(b[:])
	s.made.Store(id, true)
	return id
}

func graphIDBegin(prefix string, chain digest.Digest) string {
	return prefix + initKey(chain)[:16] + "-"
}

// initKey stands for a chain id in names; images without layers have one too.
func initKey(chain digest.Digest) string {
	if chain == "" {
		return "scratch000000000"
	}
	return chain.Encoded()
}
