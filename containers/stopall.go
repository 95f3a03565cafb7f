package containers

import (
	"context"
	"sync"

	"github.com/moby/moby/api/types/events"
)

// StopAll stops every running container, all at the same time, each with its
// own signal and timeout. It is for a daemon that takes its containers with it;
// what fails is logged.
func (c *Containers) StopAll(ctx context.Context) {
	c.leaving.Store(true)
	var all sync.WaitGroup
	for _, ct := range c.index.all() {
		s := ct.Snapshot()
		if !s.State.Running {
			continue
		}
		all.Go(func() {
			if err := c.endRun(ctx, ct, s, stopSignal(s), c.patience(s, nil)); err != nil {
				c.log.Errorf("stop of container %s: %v", ct.id, err)
				return
			}
			c.event(s, events.ActionStop)
		})
	}
	all.Wait()
}
