package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/images/fetch"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/failpoint"
)

// GC is what the garbage collector keeps to. Layers always go with the last
// image or container that has them; this is about what nobody has removed.
type GC struct {
	// MaxBytes is what layers and broken downloads may take; 0 is no limit.
	// Above it broken downloads go first, then images without a tag, and with
	// Unused those with tags too, always those that were not used for longest.
	// What a container was made from stays.
	MaxBytes int64
	Unused   bool
	// KeepFor is how long an image stays at least after it was used last.
	KeepFor time.Duration
	// KeepDownloads is how long a download that broke off can be resumed.
	KeepDownloads time.Duration
}

// DefaultGC holds unless the configuration says something else.
func DefaultGC() GC { return GC{KeepFor: time.Hour, KeepDownloads: fetch.KeepFor} }

const (
	lookupHold = time.Minute    // from finding an image to having a container of it
	sweepEvery = 24 * time.Hour // for downloads, which get old without anybody doing anything
)

// collector removes what is too much. One pass runs at a time.
type collector struct {
	mu      sync.Mutex
	limits  GC
	started bool // before, nobody knows which images containers use
	stopped atomic.Bool
	running bool
	again   bool // something happened during the pass
	timer   *time.Timer
	full    bool // it was said that nothing more can go
	used    map[digest.Digest]time.Time
	doomed  map[digest.Digest]chan struct{} // closed when the removal is over
}

// StartGC begins to collect garbage: all containers are known by now.
func (i *Images) StartGC() {
	c := &i.gc
	c.mu.Lock()
	c.started = true
	c.timer = time.AfterFunc(sweepEvery, func() {
		i.collectSoon()
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.stopped.Load() {
			c.timer.Reset(sweepEvery)
		}
	})
	c.mu.Unlock()
	i.collectSoon()
}

// SetGC changes the limits; they hold at once.
func (i *Images) SetGC(limits GC) {
	i.gc.mu.Lock()
	i.gc.limits, i.gc.full = limits, false
	i.gc.mu.Unlock()
	i.collectSoon()
}

func (i *Images) stopGC() {
	i.gc.mu.Lock()
	defer i.gc.mu.Unlock()
	i.gc.stopped.Store(true)
	if i.gc.timer != nil {
		i.gc.timer.Stop()
	}
}

// collectSoon looks in the background whether something has to go.
func (i *Images) collectSoon() {
	c := &i.gc
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.started || c.stopped.Load():
	case c.running:
		c.again = true
	default:
		c.running = true
		i.background.Go(i.collect)
	}
}

func (i *Images) collect() {
	c := &i.gc
	for {
		c.mu.Lock()
		limits := c.limits
		c.mu.Unlock()
		i.collectOnce(limits)
		c.mu.Lock()
		if !c.again || c.stopped.Load() {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.again = false
		c.mu.Unlock()
	}
}

// collected is what a pass has removed.
type collected struct {
	images    []string
	downloads int
	freed     int64
}

func (i *Images) collectOnce(limits GC) {
	var done collected
	defer func() {
		if done.freed > 0 || len(done.images) > 0 {
			i.Log.Infof("images: gc: %s freed: %d broken downloads, %d images%s", units.HumanSize(float64(done.freed)), done.downloads, len(done.images), listed(done.images))
		}
	}()
	kept, err := i.blobs.Kept()
	if err != nil {
		i.Log.Warnf("images: gc: downloads that broke off: %v", err)
	}
	inUse := i.store.LayersBytes()
	for _, k := range kept {
		inUse += k.Bytes
	}
	now := time.Now()
	for _, k := range kept { // oldest first
		tooMuch := limits.MaxBytes > 0 && inUse > limits.MaxBytes
		if !tooMuch && now.Sub(k.Written) < limits.KeepDownloads {
			break
		}
		if i.blobs.Forget(k.Digest) {
			done.downloads++
			done.freed += k.Bytes
			inUse -= k.Bytes
		}
	}
	if limits.MaxBytes <= 0 {
		return
	}
	for inUse > limits.MaxBytes && !i.gc.stopped.Load() {
		candidates := i.candidates(limits, now)
		if len(candidates) == 0 {
			break
		}
		went := false
		for _, img := range candidates {
			before := i.store.LayersBytes()
			if !i.collectImage(img, limits, now) {
				continue // somebody has begun to use it
			}
			went = true
			freed := max(0, before-i.store.LayersBytes())
			done.images = append(done.images, nameOf(img))
			done.freed += freed
			if inUse -= freed; inUse <= limits.MaxBytes || i.gc.stopped.Load() {
				break
			}
		}
		if !went {
			break
		}
		// What is gone may have been the last child of others: look again.
	}
	i.gc.mu.Lock()
	defer i.gc.mu.Unlock()
	full := inUse > limits.MaxBytes && !i.gc.stopped.Load()
	if full && !i.gc.full {
		i.Log.Warnf("images: gc: layers take %s, more than the %s of max-size, and nothing more of them may go", units.HumanSize(float64(inUse)), units.HumanSize(float64(limits.MaxBytes)))
	}
	i.gc.full = full
}

// candidates are the images that may go, in the order in which they should.
// Those all of whose layers other images need are left alone: it would free nothing.
func (i *Images) candidates(limits GC, now time.Time) []*store.Image {
	snap := i.store.Snapshot()
	var may []*store.Image
	last := map[digest.Digest]time.Time{}
	needed := map[digest.Digest]bool{} // layers of images that stay
	for _, img := range snap.Images {
		if len(i.Containers.UsingImage(img.ID.String())) > 0 {
			i.store.Used(img.ID) // until now: nobody tells of the last moment
		}
		last[img.ID] = i.lastUsed(img.ID)
		tagged := isKept(snap, img)
		if tagged && !limits.Unused || now.Sub(last[img.ID]) < limits.KeepFor || !i.collectable(snap, img) {
			for _, chain := range img.Chain {
				needed[chain] = true
			}
			continue
		}
		may = append(may, img)
	}
	may = slices.DeleteFunc(may, func(img *store.Image) bool {
		return !slices.ContainsFunc(img.Chain, func(c digest.Digest) bool { return !needed[c] })
	})
	slices.SortStableFunc(may, func(a, b *store.Image) int {
		aTagged, bTagged := isKept(snap, a), isKept(snap, b)
		switch {
		case aTagged == bTagged:
			return last[a.ID].Compare(last[b.ID])
		case bTagged:
			return -1
		}
		return 1
	})
	return may
}

// collectable tells whether nothing stands on an image.
func (i *Images) collectable(snap *store.Snapshot, img *store.Image) bool {
	return len(snap.Children(img.ID)) == 0 && len(i.Containers.UsingImage(img.ID.String())) == 0
}

// collectImage removes an image, unless somebody wants it by now. Who looks it up
// meanwhile waits, and finds that it is gone or that it stays.
func (i *Images) collectImage(img *store.Image, limits GC, now time.Time) bool {
	c := &i.gc
	c.mu.Lock()
	if time.Since(c.used[img.ID]) < max(lookupHold, limits.KeepFor) || c.stopped.Load() {
		c.mu.Unlock()
		return false
	}
	over := make(chan struct{})
	if c.doomed == nil {
		c.doomed = map[digest.Digest]chan struct{}{}
	}
	c.doomed[img.ID] = over
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.doomed, img.ID)
		delete(c.used, img.ID)
		c.mu.Unlock()
		close(over)
	}()
	if !i.collectable(i.store.Snapshot(), img) || failpoint.Hit(failpoint.GarbageChosen) != nil {
		return false
	}
	d := deletion{Images: i, items: []image.DeleteResponse{}}
	if err := d.remove(img, false); err != nil {
		if !errors.Is(err, store.ErrChanged) {
			i.Log.Warnf("images: gc: %s: %v", nameOf(img), err)
		}
		return false
	}
	return true
}

// claimed notes that somebody is about to use an image. false says that the
// collector was about to remove it: look it up again.
func (i *Images) claimed(ctx context.Context, id digest.Digest) bool {
	c := &i.gc
	c.mu.Lock()
	over := c.doomed[id]
	if over == nil {
		if c.used == nil {
			c.used = map[digest.Digest]time.Time{}
		}
		c.used[id] = time.Now()
		c.mu.Unlock()
		return true
	}
	c.mu.Unlock()
	select {
	case <-over:
	case <-ctx.Done():
	}
	return false
}

// lastUsed is what is on disk, or what this process knows better. What it knows
// of images that are gone is forgotten.
func (i *Images) lastUsed(id digest.Digest) time.Time {
	at := i.store.LastUsed(id)
	i.gc.mu.Lock()
	defer i.gc.mu.Unlock()
	if used := i.gc.used[id]; used.After(at) {
		return used
	}
	return at
}

func nameOf(img *store.Image) string {
	if len(img.Tags) > 0 {
		return img.Tags[0]
	}
	return shortID(img.ID.String())
}

func listed(names []string) string {
	const most = 10
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + more + ")"
}
