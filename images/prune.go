package images

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// prune removes images without a name, or, with dangling=false, all that no
// container was made from, and what is kept of downloads that broke off. What is
// in the way of one is no error.
func (i *Images) prune(ctx context.Context, _ *engine.Job, in jobs.ImagePruneIn) (out jobs.ImagePruneOut, err error) {
	if err := in.Filters.Check("dangling", "label", "label!", "until"); err != nil {
		return out, err
	}
	dangling, err := in.Filters.Bool("dangling", true)
	if err != nil {
		return out, err
	}
	until, err := in.Filters.Until(i.Clock.Now())
	if err != nil {
		return out, err
	}
	if !i.pruning.TryLock() {
		return out, errs.Conflict("a prune operation is already running")
	}
	defer i.pruning.Unlock()

	snap := i.store.Snapshot()
	sizes := map[string]int64{} // of the layers that may go
	for _, img := range snap.Images {
		unnamed := len(img.Names) == 0
		if unnamed && len(snap.Children(img.ID)) > 0 || !in.Filters.Pruned(img.Created(), until, img.Config.Config.Labels) {
			continue
		}
		if isBeside(snap, img) || dangling && isKept(snap, img) {
			continue // what is beside another image goes with it
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		for _, one := range append([]*store.Image{img}, snap.Others(img.ID)...) {
			for _, l := range i.store.Layers(one) {
				sizes[l.Chain.String()] = l.SizeBytes
			}
		}
		out.ImagesDeleted = append(out.ImagesDeleted, i.pruneOne(img)...)
	}
	for _, item := range out.ImagesDeleted {
		out.SpaceReclaimed += uint64(sizes[item.Deleted])
	}
	if err := i.store.Reclaim(ctx); err != nil {
		i.Log.Warnf("images: reclaim layers: %v", err)
	}
	// Downloads that broke off have a date but no labels: who asks for labels
	// does not mean them.
	if len(in.Filters["label"])+len(in.Filters["label!"]) == 0 {
		if until.IsZero() {
			until = time.Now()
		}
		freed, err := i.blobs.Purge(until)
		if err != nil {
			i.Log.Warnf("images: downloads that broke off: %v", err)
		}
		out.SpaceReclaimed += uint64(freed)
	}
	i.Events.Log(events.ImageEventType, events.ActionPrune, "", map[string]string{"reclaimed": strconv.FormatUint(out.SpaceReclaimed, 10)})
	return out, nil
}

// pruneOne takes the names of an image away one after the other, as rmi would,
// and the image with the last one.
func (i *Images) pruneOne(img *store.Image) (items []image.DeleteResponse) {
	refs := img.Names
	if len(refs) == 0 {
		refs = []string{img.ID.String()}
	}
	for _, ref := range refs {
		d := deletion{Images: i, items: []image.DeleteResponse{}}
		err := d.run(jobs.ImageDeleteIn{Image: strings.TrimPrefix(ref, string(digest.SHA256)+":")})
		items = append(items, d.items...)
		if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) && !errors.Is(err, store.ErrChanged) {
			i.Log.Warnf("images: prune %s: %v; remove it by hand", ref, err)
		}
	}
	return items
}
