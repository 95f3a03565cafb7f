package containers

import (
	"context"
	"iter"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/runtime"
)

// followOOMs handles what the runtime tells of containers that ran out of memory
// and live on, until it is closed.
func (c *Containers) followOOMs(ooms iter.Seq[runtime.OOM]) {
	for o := range ooms {
		c.background(func() { c.handleOOM(o) })
	}
}

// handleOOM records that processes of a container were killed. It may be told
// again, as to a daemon that has just started.
func (c *Containers) handleOOM(o runtime.OOM) {
	ct, ok := c.index.get(o.Container)
	if !ok {
		return
	}
	news := false
	ct.update(func(s *Snapshot) {
		same := s.State.Running && s.State.Pid == o.Pid && s.State.StartTime == o.StartTime
		if !same || o.Kills <= s.State.OOMKills {
			return // told before, of a run that is over, or of one that is just being written down
		}
		news = true
		s.State.OOMKilled, s.State.OOMKills = true, o.Kills
		c.event(s, events.ActionOOM)
	})
	if !news {
		return
	}
	unlock, err := ct.lock(context.Background())
	if err != nil {
		return
	}
	defer unlock()
	if err := c.saveUnsynced(ct); err != nil {
		c.log.Errorf("container %s: record that its memory ran out: %v", ct.id, err)
	}
}
