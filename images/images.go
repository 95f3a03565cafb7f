package images

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/images/fetch"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/initlayer"
)

// The limits that hold unless the Config says something else. They are far
// above what real images have and below what a few bytes can claim to be.
const (
	DefaultMaxLayerBytes   = 256 << 30
	DefaultMaxArchiveBytes = 512 << 30
)

// Config is what images are opened with.
type Config struct {
	Root        string             // the data root; images are in its folder images/GRAPHDRIVER
	Graph       graphdriver.Driver // has the files of the layers
	GraphDriver string             // its name: another driver has other images
	Events      Events
	Containers  Containers
	Clock       Clock          // nil is the system's
	Log         *logrus.Logger // nil is logrus's own
	FS          durable.FS     // nil is durable.OS

	MaxLayerBytes   int64 // of a layer, uncompressed; 0 is DefaultMaxLayerBytes
	MaxArchiveBytes int64 // of an archive's members, as they are in it; 0 is DefaultMaxArchiveBytes
	Parallel        int   // layers of an image that are unpacked at the same time; 0 is 2

	Registry *registry.Client // nil is one with nothing configured
	// Downloads and Uploads are how many blobs are transferred at the same time,
	// DownloadAttempts how often in vain; 0 is 3, 5 and 5.
	Downloads, Uploads, DownloadAttempts int
	RetryWait                            time.Duration // before the second attempt; 0 is two seconds

	GC *GC // nil is DefaultGC
}

// Images knows all images and what can be done with them.
type Images struct {
	Config
	store      *store.Store
	blobs      *fetch.Store
	transfers  transfers
	client     atomic.Pointer[registry.Client]
	uploading  atomic.Pointer[chan struct{}] // has room for those that may run at the same time
	eng        *engine.Engine                // has the job image_verify
	background sync.WaitGroup
	pruning    sync.Mutex // one prune at a time
	gc         collector
}

// New opens the images of a data root. What a killed daemon left half-made is
// removed; damaged images are told to the log and listed all the same.
func New(cfg Config) (*Images, error) {
	if cfg.Graph == nil || cfg.Events == nil || cfg.Containers == nil {
		return nil, errors.New("images: Graph, Events and Containers are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	if cfg.Log == nil {
		cfg.Log = logrus.StandardLogger()
	}
	if cfg.FS == nil {
		cfg.FS = durable.OS
	}
	if cfg.MaxLayerBytes <= 0 {
		cfg.MaxLayerBytes = DefaultMaxLayerBytes
	}
	if cfg.MaxArchiveBytes <= 0 {
		cfg.MaxArchiveBytes = DefaultMaxArchiveBytes
	}
	s, err := store.Open(context.Background(), store.Config{
		Root:          filepath.Join(cfg.Root, "images", cfg.GraphDriver),
		Graph:         cfg.Graph,
		FS:            cfg.FS,
		MaxLayerBytes: cfg.MaxLayerBytes,
		Parallel:      cfg.Parallel,
		PopulateInit:  initlayer.Populate,
		Warn:          cfg.Log.Warnf,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Uploads <= 0 {
		cfg.Uploads = 5
	}
	if cfg.GC == nil {
		limits := DefaultGC()
		cfg.GC = &limits
	}
	i := &Images{Config: cfg, store: s}
	i.limitUploads(cfg.Uploads)
	i.gc.limits = *cfg.GC
	if i.Registry == nil {
		if i.Registry, err = registry.New(registry.Config{}); err != nil {
			return nil, err
		}
	}
	i.useRegistry(i.Registry)
	i.blobs, err = fetch.Open(fetch.Config{
		Dir: filepath.Join(cfg.Root, "images", cfg.GraphDriver, "blobs"), Parallel: cfg.Downloads, Attempts: cfg.DownloadAttempts, Wait: cfg.RetryWait,
		Final: func(err error) bool { return registry.IsRefusal(err) || errors.Is(err, registry.ErrRange) },
		Later: func(err error) time.Duration { after, _ := registry.IsBusy(err); return after },
	})
	if err != nil {
		cfg.Log.Warnf("images: downloads: %v", err)
	}
	return i, nil
}

// Close waits for what goes on in the background. All that matters is on disk anyway.
func (i *Images) Close() error {
	i.stopGC()
	i.background.Wait()
	return nil
}

// Count is the number of images, unnamed ones included.
func (i *Images) Count() int { return len(i.store.Snapshot().Images) }
