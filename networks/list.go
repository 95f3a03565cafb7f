package networks

import (
	"context"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (n *Networks) networks(_ context.Context, _ *engine.Job, in jobs.NetworksIn) (jobs.NetworksOut, error) {
	out := jobs.NetworksOut{Networks: []network.Summary{}}
	f := in.Filters
	if err := f.Check("dangling", "driver", "id", "label", "name", "scope", "type"); err != nil {
		return out, err
	}
	for _, want := range f["type"] {
		if want != "builtin" && want != "custom" {
			return out, errs.Invalid("invalid filter: 'type'='%s'", want)
		}
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return out, err
	}
	for _, nw := range n.all() {
		contains := func(have string) func(string) bool {
			return func(want string) bool { return strings.Contains(have, want) }
		}
		kind := "builtin"
		if nw.userDefined() {
			kind = "custom"
		}
		if !f.Any("id", contains(nw.ID)) || !f.Any("name", contains(nw.Name)) ||
			!f.Exact("driver", nw.Driver) || !f.Exact("scope", "local") ||
			!f.Exact("type", kind) || !f.Labels("label", nw.Labels) {
			continue
		}
		if len(f["dangling"]) > 0 {
			n.mu.Lock()
			unused := nw.userDefined() && len(nw.endpoints) == 0
			n.mu.Unlock()
			if unused != dangling {
				continue
			}
		}
		out.Networks = append(out.Networks, network.Summary{Network: nw.api()})
	}
	return out, nil
}

func (n *Networks) inspect(_ context.Context, _ *engine.Job, in jobs.NetworkInspectIn) (jobs.NetworkInspectOut, error) {
	nw, err := n.find(in.Network)
	if err == nil && in.Scope != "" && in.Scope != "local" {
		err = errs.NotFound("network %s not found", in.Network)
	}
	if err != nil {
		return jobs.NetworkInspectOut{}, err
	}
	out := network.Inspect{Network: nw.api(), Containers: map[string]network.EndpointResource{}}
	if len(nw.spaces) > 0 {
		subnets := network.SubnetStatuses{}
		for _, space := range nw.spaces {
			inUse, available := space.Count()
			subnets[space.Subnet] = network.SubnetStatus{IPsInUse: inUse, DynamicIPsAvailable: available}
		}
		out.Status = &network.Status{IPAM: network.IPAMStatus{Subnets: subnets}}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ep := range nw.endpoints {
		out.Containers[ep.box.Container] = network.EndpointResource{
			Name: ep.box.Name, EndpointID: ep.ID, MacAddress: network.HardwareAddr(ep.MAC),
			IPv4Address: ep.IPv4, IPv6Address: ep.IPv6,
		}
	}
	return jobs.NetworkInspectOut{Inspect: out}, nil
}
