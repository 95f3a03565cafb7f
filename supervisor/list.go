package supervisor

import (
	"context"
	"slices"
	"strings"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

func (s *supervisor) list() reply {
	s.mu.Lock()
	all := make([]*container, 0, len(s.containers))
	for _, c := range s.containers {
		all = append(all, c)
	}
	s.mu.Unlock()
	out := protocol.List{Containers: []protocol.Container{}}
	for _, c := range all {
		if entry, ok := c.describe(); ok {
			// After those that run: one that ends in between is told twice, and not missed.
			entry.Ended = s.exits.execsOf(c.id)
			out.Containers = append(out.Containers, entry)
		}
	}
	slices.SortFunc(out.Containers, func(a, b protocol.Container) int { return strings.Compare(a.ID, b.ID) })
	return reply{body: out}
}

// describe leaves out a container that is still being made.
func (c *container) describe() (protocol.Container, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.state.Create
	if q.ID == "" {
		return protocol.Container{}, false
	}
	entry := protocol.Container{
		ID: c.id, Driver: q.Driver, State: protocol.StateCreated, Run: q.Run, Tty: q.Tty,
		Pid: c.state.Process.Pid, StartTime: c.state.Process.StartTime, Exit: c.exit,
		Paused:    c.state.Paused && c.exit == nil,
		StdinOpen: c.state.hasOpenStdin() && c.exit == nil,
	}
	switch {
	case c.exit != nil:
		entry.State = protocol.StateExited
	case c.state.Started:
		entry.State = protocol.StateRunning
	}
	for id := range c.execs {
		entry.Execs = append(entry.Execs, id)
	}
	slices.Sort(entry.Execs)
	return entry, true
}

func (s *supervisor) pids(q protocol.Target) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	p, ok := c.driver.(execdriver.Pidser)
	if !ok {
		return reply{}, execdriver.ErrUnsupported
	}
	if c.isEnded() {
		return reply{}, execdriver.ErrNotRunning
	}
	pids, err := p.Pids(context.Background(), q.ID)
	return reply{body: protocol.Pids{Pids: pids}}, err
}
