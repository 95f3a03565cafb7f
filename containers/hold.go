package containers

import "sync"

// hold keeps the log of a container readable, also when the container is
// removed meanwhile: a client that reads slowly gets all that was written before.
// It keeps nobody waiting, only the disk. release may be called more than once.
func (c *Containers) hold(ct *Container) (release func()) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.held++
	return sync.OnceFunc(func() {
		ct.mu.Lock()
		ct.held--
		last := ct.held == 0 && ct.orphan
		ct.mu.Unlock()
		if !last {
			return
		}
		if err := c.removeFiles(ct.id); err != nil {
			c.log.Errorf("container %s is gone, but its folder can't be removed: %v", ct.id, err)
		}
	})
}

// abandon tells whether somebody holds the folder of a container that is
// removed: then the last one removes it.
func (ct *Container) abandon() bool {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.orphan = ct.held > 0
	return ct.orphan
}
