package containers

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/phase"
)

// allocate reserves addresses and ports. What joins another container's namespace has none of its own.
func (r *run) allocate(ctx context.Context) error {
	s := r.s
	if s.HostConfig.NetworkMode.IsContainer() || s.Config.NetworkDisabled {
		return nil
	}
	if err := r.checkLinks(); err != nil {
		return err
	}
	err := r.c.networks.Allocate(ctx, NetworkRequest{
		Container: s.ID, Name: s.Name, Hostname: s.Config.Hostname, Mode: string(s.HostConfig.NetworkMode), Endpoints: s.Networks,
		Exposed: s.Config.ExposedPorts, Bindings: s.HostConfig.PortBindings, PublishAll: s.HostConfig.PublishAllPorts, Servers: s.HostConfig.DNS,
		Links: r.c.linkedIDs(s),
	})
	if err != nil {
		return err
	}
	r.undo.add(func() error { return r.c.networks.Release(ctx, s.ID) })
	return nil
}

// connect connects the namespace of the first process, which still waits.
func (r *run) connect(ctx context.Context) error {
	if r.s.HostConfig.NetworkMode.IsContainer() || r.s.Config.NetworkDisabled {
		return nil
	}
	if err := r.c.networks.Join(ctx, r.s.ID, r.proc.Pid, r.proc.StartTime); err != nil {
		return err
	}
	phase.Mark("daemon", "networks joined")
	return nil
}

// endpoints are the networks that a container is in, by name: as they are while it runs, else
// as it is configured.
func (c *Containers) endpoints(s *Snapshot) map[string]*network.EndpointSettings {
	all := map[string]*network.EndpointSettings{}
	if s.HostConfig.NetworkMode.IsContainer() || s.Config.NetworkDisabled {
		return all
	}
	// What a run had is given back a moment after its end.
	if running, _ := c.networks.Settings(s.ID); running != nil && s.State.Running {
		return running
	}
	configured := s.Networks
	if configured == nil { // of a record from before there were networks
		configured = map[string]*network.EndpointSettings{cmp.Or(string(s.HostConfig.NetworkMode), network.NetworkDefault): {}}
	}
	for ref, config := range configured {
		name, id, err := c.networks.Resolve(ref)
		if err != nil {
			name = ref
		}
		e := config.Copy()
		if s.Runs > 0 { // as docker, which looks for it at the start
			e.NetworkID = id
		}
		all[name] = e
	}
	return all
}

// portMap is what is published or exposed, by port; nothing of a container that does not run.
func (c *Containers) portMap(s *Snapshot) network.PortMap {
	if _, ports := c.networks.Settings(s.ID); ports != nil && s.State.Running {
		return ports
	}
	return network.PortMap{}
}

// noNetworks stands for networks where there are none.
type noNetworks struct{}

func (noNetworks) Allocate(context.Context, NetworkRequest) error  { return nil }
func (noNetworks) Join(context.Context, string, int, uint64) error { return nil }
func (noNetworks) Release(context.Context, string) error           { return nil }
func (noNetworks) Connect(context.Context, string, string, *network.EndpointSettings, string) error {
	return fmt.Errorf("this engine has no networks")
}
func (noNetworks) Disconnect(context.Context, string, string) error {
	return fmt.Errorf("this engine has no networks")
}
func (noNetworks) SetLinks(context.Context, string, []string) error { return nil }
func (noNetworks) Rename(context.Context, string, string) error     { return nil }
func (noNetworks) HostGateway(string) ([]netip.Addr, error) {
	return nil, fmt.Errorf("unable to derive the IP value for host-gateway")
}
func (noNetworks) Settings(string) (map[string]*network.EndpointSettings, network.PortMap) {
	return nil, nil
}
func (noNetworks) Interfaces(string) []string { return nil }
func (noNetworks) Resolve(ref string) (string, string, error) {
	if ref == network.NetworkDefault {
		ref = network.NetworkNone
	}
	return ref, "", nil
}
