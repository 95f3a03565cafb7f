package containers

import (
	"context"
	"fmt"
	"maps"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// connect puts a container on a further network: at once if it runs, else when it starts.
func (c *Containers) connect(ctx context.Context, _ *engine.Job, in jobs.NetworkConnectIn) (out jobs.NetworkConnectOut, err error) {
	name, _, err := c.networks.Resolve(in.Network)
	if err != nil {
		return out, err
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	ctx = context.WithoutCancel(ctx)
	unlock, err := ct.lock(ctx)
	if err != nil {
		return out, err
	}
	defer unlock()
	s := ct.Snapshot()
	if _, there := c.endpoints(s)[name]; there {
		if !s.State.Running && !s.State.Removing {
			return out, nil
		}
		return out, errs.Forbidden("endpoint with name %s already exists in network %s", s.Name, name)
	}
	if err := c.mayConnect(s, name); err != nil {
		return out, err
	}
	one := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: in.Endpoint}}
	checked, err := request.Endpoints(one, &container.HostConfig{NetworkMode: container.NetworkMode(name)})
	if err != nil {
		return out, err
	}
	if s.State.Running && !s.State.Restarting {
		if err := c.networks.Connect(ctx, s.ID, name, checked[name], s.Config.Hostname); err != nil {
			return out, err
		}
		defer func() {
			if err != nil {
				_ = c.networks.Disconnect(ctx, s.ID, name)
			}
		}()
	}
	return out, c.setNetworks(ct, func(nets map[string]*network.EndpointSettings) { nets[name] = checked[name] })
}

// disconnect takes a container from a network.
func (c *Containers) disconnect(ctx context.Context, _ *engine.Job, in jobs.NetworkDisconnectIn) (out jobs.NetworkDisconnectOut, err error) {
	name, id, unknown := c.networks.Resolve(in.Network)
	ct, err := c.find(in.Container)
	switch {
	case errdefs.IsNotFound(err) && in.Force && unknown == nil:
		return out, errs.NotFound("endpoint %s not found", in.Container) // endpoints are of containers
	case unknown != nil && (err != nil || !in.Force):
		return out, unknown
	case err != nil:
		return out, err
	case unknown != nil:
		name = in.Network // a container may be connected to one that is gone
	}
	ctx = context.WithoutCancel(ctx)
	unlock, err := ct.lock(ctx)
	if err != nil {
		return out, err
	}
	defer unlock()
	s := ct.Snapshot()
	if s.State.Removing || s.State.Dead || s.State.Removed {
		return out, marked(s)
	}
	if s.HostConfig.NetworkMode.IsHost() && name == network.NetworkHost {
		return out, errs.Invalid("container cannot be disconnected from host network or connected to host network")
	}
	if _, there := c.endpoints(s)[name]; !there {
		if s.State.Running && unknown == nil {
			return out, fmt.Errorf("container %s is not connected to network %s", s.ID, name)
		}
		return out, fmt.Errorf("container %s is not connected to the network %s", s.ID, name)
	}
	if s.State.Running && !s.State.Restarting {
		if err := c.networks.Disconnect(ctx, s.ID, name); err != nil {
			return out, err
		}
	}
	return out, c.setNetworks(ct, func(nets map[string]*network.EndpointSettings) {
		for ref := range nets {
			if other, _, err := c.networks.Resolve(ref); ref == name || ref == id || err == nil && other == name {
				delete(nets, ref)
			}
		}
	})
}

// mayConnect: the network is none of those that the container is in.
func (c *Containers) mayConnect(s *Snapshot, name string) error {
	mode := s.HostConfig.NetworkMode
	switch {
	case s.State.Removing || s.State.Dead || s.State.Removed:
		return marked(s)
	case name == network.NetworkHost && !mode.IsHost():
		return errs.Invalid("container cannot be disconnected from host network or connected to host network")
	case mode.IsContainer(), mode.IsHost():
		return errs.Invalid("container sharing network namespace with another container or host cannot be connected to any other network")
	}
	for other := range c.endpoints(s) {
		if other == network.NetworkNone || name == network.NetworkNone {
			return errs.Invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode")
		}
	}
	return nil
}

func marked(s *Snapshot) error {
	return errs.Conflict("Container %s is marked for removal and cannot be connected or disconnected to the network", s.ID)
}

// setNetworks changes the networks that a container is configured with, and its /etc/hosts.
func (c *Containers) setNetworks(ct *Container, change func(map[string]*network.EndpointSettings)) error {
	err := c.reconfigure(ct, func(s *Snapshot) {
		nets := maps.Clone(s.Networks)
		if nets == nil {
			nets = map[string]*network.EndpointSettings{}
		}
		change(nets)
		s.Networks = nets
	})
	if err != nil {
		return err
	}
	return c.refreshEtc(ct.Snapshot())
}

// refreshEtc brings the files up to date that say where a container is; before its first start there are none.
func (c *Containers) refreshEtc(s *Snapshot) error {
	files := c.etcOf(s)
	if err := files.RefreshHosts(); err != nil || !s.State.Running {
		return err // the others follow at the start
	}
	if err := files.RefreshResolvConf(); err != nil {
		return err
	}
	c.tellLinked(s.ID)
	return nil
}
