package containers

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/jobengine/engine/containers/record"
	"github.com/jobengine/engine/containers/state"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
)

func (c *Containers) recordPath(id string) string { return c.path(id, "container.json") }

// save writes the record of a container as it is now. What AutoRemove owes to
// nobody after a reboot is not synced.
func (c *Containers) save(ct *Container) error {
	ct.saving.Lock()
	defer ct.saving.Unlock()
	return c.write(ct.Snapshot(), !ct.Snapshot().HostConfig.AutoRemove)
}

// saveUnsynced is save for what can be found out again after a reboot. It works
// on a full disk: containers end and are removed there too.
func (c *Containers) saveUnsynced(ct *Container) error {
	ct.saving.Lock()
	defer ct.saving.Unlock()
	return c.writeRecord(ct.Snapshot(), durable.RewriteJSONUnsynced)
}

// reconfigure changes what the user has configured of a container, whose lock is held, and makes it durable.
func (c *Containers) reconfigure(ct *Container, change func(*Snapshot)) error {
	_, err := ct.tryUpdate(func(s *Snapshot) error {
		change(s)
		return s.Store()
	})
	if err != nil {
		return err
	}
	return c.save(ct)
}

func (c *Containers) write(s *Snapshot, synced bool) error {
	if synced {
		return c.writeRecord(s, durable.WriteJSON)
	}
	return c.writeRecord(s, durable.WriteJSONUnsynced)
}

func (c *Containers) writeRecord(s *Snapshot, put func(durable.FS, string, any, fs.FileMode) error) error {
	return put(c.fsys, c.recordPath(s.ID), s.Record(), 0o600)
}

// load reads all records. What is damaged is shown as dead, so that it can be
// seen and removed; what has no record at all was never acknowledged and waits
// for Restore to be removed.
func (c *Containers) load() error {
	if err := durable.Sweep(c.fsys, c.dir); err != nil {
		c.log.Warnf("containers: leftovers of an earlier life: %v", err)
	}
	entries, err := c.fsys.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id := e.Name()
		if !e.IsDir() || durable.IsLeftover(id) {
			continue
		}
		if _, err := c.fsys.Lstat(c.recordPath(id)); isNotExist(err) {
			c.halfMade = append(c.halfMade, id)
			continue
		}
		s, err := c.read(id)
		if err != nil {
			c.log.Errorf("container %s: the record is damaged, the container can only be removed: %v", id, err)
			s = state.Broken(id, err)
		}
		if _, taken := c.index.names[s.Name]; taken {
			// A rename that a kill cut off; the other one is newer.
			s.Name = id[:min(12, len(id))]
		}
		c.index.add(newContainer(s))
	}
	return nil
}

func isNotExist(err error) bool { return err != nil && errors.Is(err, fs.ErrNotExist) }

// read makes a snapshot of a record. Whether it runs is for Restore to find out.
func (c *Containers) read(id string) (*Snapshot, error) {
	var r record.Container
	if err := durable.ReadJSON(c.fsys, c.recordPath(id), &r); err != nil {
		return nil, err
	}
	if err := r.Check(id); err != nil {
		return nil, err
	}
	return state.Of(&r)
}

// checkLayer shows a container whose layer is damaged as damaged too. Its record
// stays as it is: when somebody brings the layer back, so is the container.
func (c *Containers) checkLayer(ctx context.Context, ct *Container) {
	s := ct.Snapshot()
	if s.Damaged || s.State.Removing || s.HostConfig.AutoRemove {
		return
	}
	if err := graphdriver.Check(ctx, c.graph, ct.id); err != nil {
		c.log.Errorf("container %s: the layer is damaged, the container can only be removed: %v", ct.id, err)
		ct.update(func(s *Snapshot) {
			s.State.Dead, s.State.Error, s.Damaged = true, "the layer is damaged: "+err.Error(), true
		})
	}
}

// removeRecord deletes the record of a container.
func (c *Containers) removeRecord(id string, synced bool) error {
	if synced {
		return durable.Remove(c.fsys, c.recordPath(id))
	}
	if err := c.fsys.Remove(c.recordPath(id)); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// removeFiles deletes the folder of a container that has no record. If a power
// cut brings it back, the next boot removes it.
func (c *Containers) removeFiles(id string) error {
	_ = os.Remove(c.keptPath(id))
	return durable.RemoveTreeUnsynced(c.fsys, c.path(id))
}
