package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/images/fetch"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// fetching is one image on its way from a registry. Its layers are downloaded,
// decompressed and unpacked at the same time; they and the image are published
// when all of it is there and verified.
type fetching struct {
	*Images
	repo     *registry.Repository
	manifest *registry.Manifest
	tell     func(jsonstream.Message)
}

func (f *fetching) run(ctx context.Context, names []string, origin *store.Origin) error {
	config, err := f.repo.Config(ctx, f.manifest.Config, store.MaxConfigBytes)
	if err != nil {
		return err
	}
	img, err := store.ParseConfig(config)
	if err != nil {
		return err
	}
	if err := checkRunnable(img); err != nil {
		return err
	}
	if len(img.Chain) != len(f.manifest.Layers) {
		return errs.Invalid("layers from manifest don't match image configuration")
	}
	for again := false; ; again = true {
		err = f.layers(ctx, img, func(lease *store.Lease) error {
			_, err := f.store.Publish(store.NewImage{Config: config, Names: names, LastTagged: f.Clock.Now().UTC(), Origin: origin}, lease)
			return err
		})
		if again || !errors.Is(err, fetch.ErrStale) {
			if durable.IsFull(err) {
				_, _ = f.blobs.Purge(time.Now()) // what others gave up is worth less than a working disk
			}
			return err
		}
	}
}

// layers brings the layers in and calls publish with them.
func (f *fetching) layers(ctx context.Context, img *store.Image, publish func(*store.Lease) error) (err error) {
	running, cancel := context.WithCancel(ctx)
	set := &layerSet{fetching: f, blobs: map[digest.Digest]*layerBlob{}, ctx: running}
	defer func() {
		cancel()
		set.watching.Wait()
		for _, b := range set.blobs {
			b.Release(err != nil && ctx.Err() != nil) // a client that went away may come back
		}
	}()
	told := map[digest.Digest]bool{}
	var missing []int
	for n, layer := range f.manifest.Layers {
		have := f.store.HasLayer(img.Chain[n])
		if !have {
			missing = append(missing, n)
		}
		if told[layer.Digest] {
			continue
		}
		told[layer.Digest] = true
		status := "Pulling fs layer"
		if have {
			status = "Already exists"
		}
		f.tell(layerMessage(layer.Digest, status, &jsonstream.Progress{}))
	}
	for _, n := range missing {
		set.get(n)
	}
	sources := make([]store.Source, len(f.manifest.Layers))
	for n, layer := range f.manifest.Layers {
		sources[n] = store.Source{
			DiffID: img.Config.RootFS.DiffIDs[n],
			Open:   func(ctx context.Context) (io.ReadCloser, error) { return set.open(ctx, n), nil },
		}
		if slices.Contains(missing, n) {
			sources[n].Landed = sync.OnceFunc(func() { set.landed(layer.Digest) })
		}
	}
	lease, err := f.store.Unpack(running, sources)
	if err != nil {
		return set.blame(err)
	}
	defer lease.Release()
	return publish(lease)
}

func layerMessage(d digest.Digest, status string, p *jsonstream.Progress) jsonstream.Message {
	return jsonstream.Message{ID: shortID(d.String()), Status: status, Progress: p}
}

// layerSet has the blobs of an image's layers.
type layerSet struct {
	*fetching
	ctx      context.Context
	mu       sync.Mutex
	blobs    map[digest.Digest]*layerBlob
	given    *layerBlob // the first one that was not read to its end
	watching sync.WaitGroup
}

// layerBlob is a blob and the one who tells of its download.
type layerBlob struct {
	*fetch.Blob
	size int64
	told chan struct{} // closed when all was told of the download
	done sync.Once
}

// get begins the download of a layer, or gives the one that is under way.
func (s *layerSet) get(n int) *layerBlob {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.manifest.Layers[n]
	if b := s.blobs[d.Digest]; b != nil {
		return b
	}
	b := &layerBlob{size: d.Size, told: make(chan struct{})}
	b.Blob = s.Images.blobs.Get(d.Digest, d.Size, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return s.repo.Blob(ctx, d, offset)
	})
	s.blobs[d.Digest] = b
	s.watching.Go(func() {
		defer close(b.told)
		s.watch(b)
	})
	return b
}

// watch tells the client of a download.
func (s *layerSet) watch(b *layerBlob) {
	last := fetch.Phase(-1)
	_ = b.Watch(s.ctx, progressEvery, func(now fetch.State) {
		switch {
		case now.Phase == fetch.Downloading && now.Bytes > 0 && now.Bytes < b.size:
			s.tell(layerMessage(b.Digest(), "Downloading", &jsonstream.Progress{Current: now.Bytes, Total: b.size}))
		case now.Phase == fetch.Waiting && last != now.Phase:
			s.tell(layerMessage(b.Digest(), "Waiting", &jsonstream.Progress{}))
		case now.Phase == fetch.Retrying:
			left := max(1, int(time.Until(now.Until).Round(time.Second)/time.Second))
			plural := "s"
			if left == 1 {
				plural = ""
			}
			s.tell(layerMessage(b.Digest(), fmt.Sprintf("Retrying in %d second%s", left, plural), &jsonstream.Progress{}))
		case now.Phase == fetch.Complete:
			s.tell(layerMessage(b.Digest(), "Verifying Checksum", &jsonstream.Progress{}))
			s.tell(layerMessage(b.Digest(), "Download complete", &jsonstream.Progress{}))
		}
		last = now.Phase
	})
}

// open reads a layer while it arrives, and tells how far that is once it has.
func (s *layerSet) open(ctx context.Context, n int) io.ReadCloser {
	b := s.get(n)
	return &extraction{ReadCloser: b.Reader(ctx), set: s, blob: b}
}

// extraction is counted as it is read.
type extraction struct {
	io.ReadCloser
	set     *layerSet
	blob    *layerBlob
	current int64
	at      time.Time
	ended   bool
}

func (e *extraction) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	e.current += int64(n)
	e.ended = e.ended || err == io.EOF
	select {
	case <-e.blob.told:
		if n > 0 && (e.current == e.blob.size || time.Since(e.at) >= progressEvery) {
			e.at = time.Now()
			e.set.tell(layerMessage(e.blob.Digest(), "Extracting", &jsonstream.Progress{Current: e.current, Total: e.blob.size}))
		}
	default: // the client sees the download
	}
	return n, err
}

// Close notes who gave up first: the others are only told to.
func (e *extraction) Close() error {
	if !e.ended {
		e.set.mu.Lock()
		if e.set.given == nil {
			e.set.given = e.blob
		}
		e.set.mu.Unlock()
	}
	return e.ReadCloser.Close()
}

// blame finds out whether a layer that cannot be unpacked is what its digest
// promises: it is unpacked before anybody knows. If not, that is the error.
func (s *layerSet) blame(err error) error {
	s.mu.Lock()
	b := s.given
	s.mu.Unlock()
	if b == nil || !errdefs.IsInvalidArgument(err) {
		return err
	}
	if werr := b.Watch(s.ctx, time.Hour, func(fetch.State) {}); werr != nil {
		return fmt.Errorf("layer %s: %w", b.Digest(), werr)
	}
	return err
}

// landed tells that a layer is published.
func (s *layerSet) landed(d digest.Digest) {
	s.mu.Lock()
	b := s.blobs[d]
	s.mu.Unlock()
	if b == nil {
		return
	}
	if b.State().Phase == fetch.Complete { // else somebody else has unpacked another copy
		<-b.told
	}
	b.done.Do(func() { s.tell(layerMessage(d, "Pull complete", &jsonstream.Progress{})) })
}
