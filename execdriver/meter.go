package execdriver

import (
	"context"
	"os"

	"github.com/jobengine/engine/internal/lateoom"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/internal/usage"
)

// A Meter is an OOMTeller, an OOMWatcher and a Statser by the cgroups that count what containers use.
// Drivers embed it.
type Meter struct {
	// Group finds that of a container.
	Group func(id string) (MemoryGroup, error)
}

// A MemoryGroup is the cgroup that counts a container's memory.
type MemoryGroup struct {
	Dir   string         // "" if there is none
	First pidfd.Process  // of the container
	Late  *lateoom.Trace // of a group that goes with its last process, else nil
}

// OOMKilled implements OOMTeller.
func (m Meter) OOMKilled(_ context.Context, id string) (bool, error) {
	g, err := m.Group(id)
	if err != nil || g.Dir == "" {
		return false, err
	}
	// The group may go at any moment: its own count first, and what remains of it after that.
	n, err := usage.OOMKills(g.Dir)
	if n == 0 && g.Late.Tells(g.First) {
		return true, nil
	}
	return n > 0, err
}

// OOMKills implements OOMWatcher.
func (m Meter) OOMKills(_ context.Context, id string) (uint64, error) {
	g, err := m.Group(id)
	if err != nil || g.Dir == "" {
		return 0, err
	}
	return usage.OOMKills(g.Dir)
}

// WatchOOM implements OOMWatcher.
func (m Meter) WatchOOM(_ context.Context, id string) (*os.File, error) {
	g, err := m.Group(id)
	if err != nil {
		return nil, err
	}
	if g.Dir == "" {
		return nil, ErrUnsupported
	}
	return usage.WatchOOM(g.Dir)
}

// Stats implements Statser.
func (m Meter) Stats(_ context.Context, id string) (Stats, error) {
	g, err := m.Group(id)
	if err != nil {
		return Stats{}, err
	}
	if g.Dir == "" {
		return Stats{}, ErrUnsupported
	}
	return usage.Read(g.Dir)
}
