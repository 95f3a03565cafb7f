package state

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/record"
)

// Stored is the configuration as it is written, made once for each container.
type Stored struct {
	config *record.Config
	host   *record.HostConfig
	mounts []record.MountPoint
	nets   map[string]*record.Endpoint
}

// Store makes Stored of what the user has configured now. An error leaves the one that was.
func (s *Snapshot) Store() error {
	st := &Stored{config: new(record.Config), host: new(record.HostConfig)}
	if err := record.Convert(s.Config, st.config); err != nil {
		return err
	}
	if err := record.Convert(s.HostConfig, st.host); err != nil {
		return err
	}
	if err := record.Convert(s.Networks, &st.nets); err != nil {
		return err
	}
	if err := record.Convert(s.Mounts, &st.mounts); err != nil {
		return err
	}
	s.Stored = st
	return nil
}

// Record is the snapshot as it is written.
func (s *Snapshot) Record() *record.Container {
	return &record.Container{
		Format: record.Format, ID: s.ID, Name: s.Name, Created: s.Created, ImageID: s.ImageID, Path: s.Path, Args: s.Args,
		Config: s.Stored.config, HostConfig: s.Stored.host, Mounts: s.Stored.mounts, Networks: s.Stored.nets,
		Driver: s.Driver, LogPath: s.LogPath, RestartCount: s.RestartCount, Runs: s.Runs,
		ManualStop: s.ManualStop, Removing: s.State.Removing,
		State: record.State{
			Running: s.State.Running && !s.State.Restarting, Paused: s.State.Paused, Thaw: s.State.Thaw, OOMKilled: s.State.OOMKilled, OOMKills: s.State.OOMKills, Dead: s.State.Dead,
			Pid: s.State.Pid, StartTime: s.State.StartTime, ExitCode: s.State.ExitCode, Error: s.State.Error,
			StartedAt: s.State.StartedAt, FinishedAt: s.State.FinishedAt,
		},
	}
}

// Of makes a snapshot of a record that was checked. Whether it runs is for others to find out.
func Of(r *record.Container) (*Snapshot, error) {
	s := &Snapshot{
		ID: r.ID, Name: r.Name, Created: r.Created, ImageID: r.ImageID, Path: r.Path, Args: r.Args,
		Config: new(container.Config), HostConfig: new(container.HostConfig),
		Driver: r.Driver, LogPath: r.LogPath, RestartCount: r.RestartCount, Runs: r.Runs, ManualStop: r.ManualStop,
		State: State{
			Running: r.State.Running, Paused: r.State.Paused, Thaw: r.State.Thaw, OOMKilled: r.State.OOMKilled, OOMKills: r.State.OOMKills, Dead: r.State.Dead,
			Removing: r.Removing, Pid: r.State.Pid, StartTime: r.State.StartTime,
			ExitCode: r.State.ExitCode, Error: r.State.Error,
			StartedAt: r.State.StartedAt, FinishedAt: r.State.FinishedAt,
		},
		Stored: &Stored{r.Config, r.HostConfig, r.Mounts, r.Networks},
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

// Broken stands for a container whose record can't be read.
func Broken(id string, err error) *Snapshot {
	return &Snapshot{
		ID: id, Name: id[:min(12, len(id))],
		Config: &container.Config{Labels: map[string]string{}}, HostConfig: &container.HostConfig{},
		State:   State{Dead: true, Error: "the record is damaged: " + err.Error()},
		Damaged: true,
	}
}
