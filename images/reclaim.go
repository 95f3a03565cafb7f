package images

import "context"

// Reclaim removes layers that were kept because containers stood on a removed
// image, if they are gone by now. It is cheap when there is nothing to do.
func (i *Images) Reclaim(ctx context.Context) error { return i.store.Reclaim(ctx) }

// ContainerRemoved is to be called when a container's layer is gone: what was
// kept for it alone is removed, in the background, and its image, as the container
// named it, was in use until now. It may be called with locks held.
func (i *Images) ContainerRemoved(ref string) {
	reclaim := i.store.Reclaimable()
	i.gc.mu.Lock()
	limited := i.gc.started && i.gc.limits.MaxBytes > 0
	i.gc.mu.Unlock()
	if !reclaim && !limited {
		return
	}
	i.background.Go(func() {
		if limited {
			if img, err := i.find(ref); err == nil {
				i.store.Used(img.ID)
			}
		}
		if reclaim {
			if err := i.Reclaim(context.Background()); err != nil {
				i.Log.Warnf("images: reclaim layers: %v", err)
			}
		}
		i.collectSoon()
	})
}
