package containers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// inspect tells all there is to know of a container.
func (c *Containers) inspect(ctx context.Context, _ *engine.Job, in jobs.ContainerInspectIn) (out jobs.ContainerInspectOut, err error) {
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	s := ct.Snapshot()
	config, hostConfig := *s.Config, *s.HostConfig // the caller may change them
	hostConfig.Links = c.shownLinks(s)
	r := container.InspectResponse{
		ID:           s.ID,
		Created:      s.Created.UTC().Format(time.RFC3339Nano),
		Path:         s.Path,
		Args:         slices.Clone(s.Args),
		State:        inspectState(s.State),
		Image:        s.ImageID,
		Name:         "/" + s.Name,
		RestartCount: s.RestartCount,
		Driver:       s.Driver,
		Platform:     "linux",
		ExecIDs:      c.execs.Of(s.ID),
		HostConfig:   &hostConfig,
		GraphDriver:  &storage.DriverData{Name: s.Driver},
		Mounts:       slices.Clone(s.Mounts),
		Config:       &config,
		NetworkSettings: &container.NetworkSettings{
			Ports:    c.portMap(s),
			Networks: c.endpoints(s),
		},
	}
	if r.Args == nil {
		r.Args = []string{}
	}
	if r.Mounts == nil {
		r.Mounts = []container.MountPoint{}
	}
	if data, err := c.graph.Metadata(ctx, s.ID); err == nil { // else the layer is damaged or being removed
		r.GraphDriver.Data = maps.Clone(data)
	}
	if !s.State.StartedAt.IsZero() {
		// As in docker, what the first start makes has no path before it.
		owner := s.ID
		if o, err := c.etcOwner(s); err == nil {
			owner = o.ID
		}
		r.ResolvConfPath = c.path(owner, "resolv.conf")
		r.HostnamePath = c.path(owner, "hostname")
		r.HostsPath = c.path(owner, "hosts")
		r.LogPath = s.LogPath
	}
	if s.State.Running && s.State.Pid > 0 {
		r.NetworkSettings.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", s.State.Pid)
	}
	if security, err := spec.ParseSecurity(s.HostConfig.SecurityOpt, c.cfg.Defaults); err == nil {
		r.AppArmorProfile = security.AppArmor
		if c.host.facts.AppArmor {
			r.AppArmorProfile = security.AppArmorProfile(s.HostConfig.Privileged, c.cfg.Defaults)
		}
	}
	if in.Size {
		size, err := c.sizes(ctx, s)
		if err != nil {
			return out, err
		}
		r.SizeRw, r.SizeRootFs = &size.Rw, &size.RootFs
	}
	if ep := s.Networks[cmp.Or(string(s.HostConfig.NetworkMode), network.NetworkDefault)]; ep != nil {
		out.MacAddress = ep.MacAddress
	}
	out.InspectResponse = r
	return out, nil
}

func inspectState(s State) *container.State {
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
