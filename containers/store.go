package containers

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/record"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
)

// stored is the configuration as it is written, made once for each container.
type stored struct {
	config *record.Config
	host   *record.HostConfig
	mounts []record.MountPoint
	nets   map[string]*record.Endpoint
}

func store(s *Snapshot) (*stored, error) {
	st := &stored{config: new(record.Config), host: new(record.HostConfig)}
	if err := record.Convert(s.Config, st.config); err != nil {
		return nil, err
	}
	if err := record.Convert(s.HostConfig, st.host); err != nil {
		return nil, err
	}
	if err := record.Convert(s.Networks, &st.nets); err != nil {
		return nil, err
	}
	return st, record.Convert(s.Mounts, &st.mounts)
}

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
		stored, err := store(s)
		if err == nil {
			s.stored = stored
		}
		return err
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
	r := &record.Container{
		Format: record.Format, ID: s.ID, Name: s.Name, Created: s.Created, ImageID: s.ImageID, Path: s.Path, Args: s.Args,
		Config: s.stored.config, HostConfig: s.stored.host, Mounts: s.stored.mounts, Networks: s.stored.nets,
		Driver: s.Driver, LogPath: s.LogPath, RestartCount: s.RestartCount, Runs: s.Runs,
		ManualStop: s.ManualStop, Removing: s.State.Removing,
		State: record.State{
			Running: s.State.Running && !s.State.Restarting, Paused: s.State.Paused, Thaw: s.State.Thaw, OOMKilled: s.State.OOMKilled, OOMKills: s.State.OOMKills, Dead: s.State.Dead,
			Pid: s.State.Pid, StartTime: s.State.StartTime, ExitCode: s.State.ExitCode, Error: s.State.Error,
			StartedAt: s.State.StartedAt, FinishedAt: s.State.FinishedAt,
		},
	}
	return put(c.fsys, c.recordPath(s.ID), r, 0o600)
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
			s = damaged(id, err)
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
	s := &Snapshot{
		ID: id, Name: r.Name, Created: r.Created, ImageID: r.ImageID, Path: r.Path, Args: r.Args,
		Config: new(container.Config), HostConfig: new(container.HostConfig),
		Driver: r.Driver, LogPath: r.LogPath, RestartCount: r.RestartCount, Runs: r.Runs, ManualStop: r.ManualStop,
		State: State{
			Running: r.State.Running, Paused: r.State.Paused, Thaw: r.State.Thaw, OOMKilled: r.State.OOMKilled, OOMKills: r.State.OOMKills, Dead: r.State.Dead,
			Removing: r.Removing, Pid: r.State.Pid, StartTime: r.State.StartTime,
			ExitCode: r.State.ExitCode, Error: r.State.Error,
			StartedAt: r.State.StartedAt, FinishedAt: r.State.FinishedAt,
		},
		stored: &stored{r.Config, r.HostConfig, r.Mounts, r.Networks},
	}
	if err := record.Convert(r.Config, s.Config); err != nil {
		return nil, err
	}
	if err := record.Convert(r.HostConfig, s.HostConfig); err != nil {
		return nil, err
	}
	if err := record.Convert(r.Networks, &s.Networks); err != nil {
		return nil, err
	}
	return s, record.Convert(r.Mounts, &s.Mounts)
}

// damaged stands for a container whose record can't be read.
func damaged(id string, err error) *Snapshot {
	return &Snapshot{
		ID: id, Name: id[:min(12, len(id))],
		Config: &container.Config{Labels: map[string]string{}}, HostConfig: &container.HostConfig{},
		State:   State{Dead: true, Error: "the record is damaged: " + err.Error()},
		damaged: true,
	}
}

// checkLayer shows a container whose layer is damaged as damaged too. Its record
// stays as it is: when somebody brings the layer back, so is the container.
func (c *Containers) checkLayer(ctx context.Context, ct *Container) {
	s := ct.Snapshot()
	if s.damaged || s.State.Removing || s.HostConfig.AutoRemove {
		return
	}
	if err := graphdriver.Check(ctx, c.graph, ct.id); err != nil {
		c.log.Errorf("container %s: the layer is damaged, the container can only be removed: %v", ct.id, err)
		ct.update(func(s *Snapshot) {
			s.State.Dead, s.State.Error, s.damaged = true, "the layer is damaged: "+err.Error(), true
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
