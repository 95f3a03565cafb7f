package images

import "context"

// Reclaim removes layers that were kept because containers stood on a removed
// image, if they are gone by now. It is cheap when there is nothing to do.
func (i *Images) Reclaim(ctx context.Context) error { return i.store.Reclaim(ctx) }

// ContainerRemoved is to be called when a container's layer is gone: what was
// kept for it alone is removed, in the background. It may be called with locks held.
func (i *Images) ContainerRemoved() {
	if !i.store.Reclaimable() {
		return
	}
	i.background.Go(func() {
		if err := i.Reclaim(context.Background()); err != nil {
			i.Log.Warnf("images: reclaim layers: %v", err)
		}
	})
}
