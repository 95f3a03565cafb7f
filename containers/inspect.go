package containers

import (
	"cmp"
	"context"
	"maps"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/show"
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
	r := show.Details(s, c.endpoints(s), c.portMap(s))
	r.HostConfig.Links = c.shownLinks(s)
	r.ExecIDs = c.execs.Of(s.ID)
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
