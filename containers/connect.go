package containers

import (
	"context"
	"maps"

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
	if err := mayChangeNetworks(s, name); err != nil {
		return out, err
	}
	if _, there := c.endpoints(s)[name]; there && !s.State.Running {
		return out, errs.Forbidden("endpoint with name %s already exists in network %s", s.Name, name)
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
	name, id, err := c.networks.Resolve(in.Network)
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
	if s.HostConfig.NetworkMode.IsHost() && name == network.NetworkHost {
		return out, errs.Forbidden("container cannot be disconnected from host network or connected to host network")
	}
	if _, there := c.endpoints(s)[name]; !there {
		return out, errs.Forbidden("container %s is not connected to network %s", s.ID, name)
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

func mayChangeNetworks(s *Snapshot, name string) error {
	switch mode := s.HostConfig.NetworkMode; {
	case s.State.Removing || s.State.Dead || s.State.Removed:
		return errs.Conflict("container %s is marked for removal and cannot be connected or disconnected to the network %s", s.ID, name)
	case mode.IsHost() || name == network.NetworkHost:
		return errs.Forbidden("container cannot be disconnected from host network or connected to host network")
	case mode.IsContainer():
		return errs.Forbidden("container sharing network namespace with another container or host cannot be connected to any other network")
	case mode.IsNone() || name == network.NetworkNone:
		return errs.Forbidden("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	}
	return nil
}

// setNetworks changes the networks that a container is configured with, and its /etc/hosts.
func (c *Containers) setNetworks(ct *Container, change func(map[string]*network.EndpointSettings)) error {
	_, err := ct.tryUpdate(func(s *Snapshot) error {
		nets := maps.Clone(s.Networks)
		if nets == nil {
			nets = map[string]*network.EndpointSettings{}
		}
		change(nets)
		s.Networks = nets
		stored, err := store(s)
		if err == nil {
			s.stored = stored
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := c.save(ct); err != nil {
		return err
	}
	return c.refreshHosts(ct.Snapshot())
}
