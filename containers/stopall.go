package containers

import (
	"context"
	"sync"
)

// StopAll stops every running container, all at the same time, each with its
// own signal and timeout. It is for a daemon that takes its containers with it;
// what fails is logged.
func (c *Containers) StopAll(ctx context.Context) {
	var all sync.WaitGroup
	for _, ct := range c.index.all() {
		if !ct.Snapshot().State.Running {
			continue
		}
		all.Go(func() {
			if err := c.stopNow(ctx, ct, "", nil); err != nil {
				c.log.Errorf("stop of container %s: %v", ct.id, err)
			}
		})
	}
	all.Wait()
}
