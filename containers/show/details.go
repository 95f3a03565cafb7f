package show

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/jobengine/engine/containers/state"
)

// Details is what inspect tells of a container by its snapshot and its networks. The caller may change it,
// but not follow its pointers further than Config and HostConfig.
func Details(s *state.Snapshot, endpoints map[string]*network.EndpointSettings, published network.PortMap) container.InspectResponse {
	config, hostConfig := *s.Config, *s.HostConfig
	r := container.InspectResponse{
		ID:           s.ID,
		Created:      s.Created.UTC().Format(time.RFC3339Nano),
		Path:         s.Path,
		Args:         slices.Clone(s.Args),
		State:        stateOf(s.State),
		Image:        s.ImageID,
		Name:         "/" + s.Name,
		RestartCount: s.RestartCount,
		Driver:       s.Driver,
		Platform:     "linux",
		HostConfig:   &hostConfig,
		GraphDriver:  &storage.DriverData{Name: s.Driver},
		Mounts:       slices.Clone(s.Mounts),
		Config:       &config,
		NetworkSettings: &container.NetworkSettings{
			Ports:    published,
			Networks: endpoints,
		},
	}
	if r.Args == nil {
		r.Args = []string{}
	}
	if r.Mounts == nil {
		r.Mounts = []container.MountPoint{}
	}
	if s.State.Running && s.State.Pid > 0 {
		r.NetworkSettings.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", s.State.Pid)
		if !s.HostConfig.NetworkMode.IsContainer() { // else it is the other's
			r.NetworkSettings.SandboxID = sandboxID(s)
		}
	}
	return r
}

// sandboxID names what a run has of networks, for as long as it lasts.
func sandboxID(s *state.Snapshot) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "sandbox %s %d %d", s.ID, s.State.Pid, s.State.StartTime))
	return hex.EncodeToString(sum[:])
}

func stateOf(s state.State) *container.State {
	return &container.State{
		Status:     s.Status(),
		Running:    s.Running,
		Paused:     s.Paused,
		Restarting: s.Restarting,
		OOMKilled:  s.OOMKilled,
		Dead:       s.Dead,
		Pid:        s.Pid,
		ExitCode:   s.ExitCode,
		Error:      s.Error,
		StartedAt:  s.StartedAt.UTC().Format(time.RFC3339Nano),
		FinishedAt: s.FinishedAt.UTC().Format(time.RFC3339Nano),
	}
}
