package native

import (
	"context"
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/usage"
)

// OOMKilled implements execdriver.OOMTeller.
func (d *Driver) OOMKilled(_ context.Context, id string) (bool, error) {
	r, err := d.record(id)
	if err != nil || r.MemoryCgroup == "" {
		return false, err
	}
	// The group may go at any moment: its own count first, and what remains of it after that.
	n, err := usage.OOMKills(r.MemoryCgroup)
	if n == 0 && r.OutOfMemory.Tells(r.Process) {
		return true, nil
	}
	return n > 0, err
}

// OOMKills implements execdriver.OOMWatcher.
func (d *Driver) OOMKills(_ context.Context, id string) (uint64, error) {
	r, err := d.record(id)
	if err != nil || r.MemoryCgroup == "" {
		return 0, err
	}
	return usage.OOMKills(r.MemoryCgroup)
}

// WatchOOM implements execdriver.OOMWatcher.
func (d *Driver) WatchOOM(_ context.Context, id string) (*os.File, error) {
	r, err := d.record(id)
	if err != nil {
		return nil, err
	}
	if r.MemoryCgroup == "" {
		return nil, execdriver.ErrUnsupported
	}
	return usage.WatchOOM(r.MemoryCgroup)
}

// Stats implements execdriver.Statser.
func (d *Driver) Stats(_ context.Context, id string) (execdriver.Stats, error) {
	r, err := d.record(id)
	if err != nil {
		return execdriver.Stats{}, err
	}
	if r.MemoryCgroup == "" {
		return execdriver.Stats{}, execdriver.ErrUnsupported
	}
	return usage.Read(r.MemoryCgroup)
}
