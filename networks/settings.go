package networks

import (
	"github.com/moby/moby/api/types/network"
)

// Settings gives the networks, by name, and the ports of a running container; nil if it has no box.
func (n *Networks) Settings(container string) (map[string]*network.EndpointSettings, network.PortMap) {
	n.mu.Lock()
	defer n.mu.Unlock()
	box := n.boxes[container]
	if box == nil {
		return nil, nil
	}
	all := map[string]*network.EndpointSettings{}
	for _, ep := range box.Endpoints {
		all[ep.network.Name] = ep.settings()
	}
	return all, box.portMap()
}

// Interfaces names the interfaces that a running container has of its networks, as they are called inside.
func (n *Networks) Interfaces(container string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	box := n.boxes[container]
	if box == nil {
		return nil
	}
	var names []string
	for _, ep := range box.Endpoints {
		if ep.Interface != "" {
			names = append(names, ep.Interface)
		}
	}
	return names
}

func (ep *Endpoint) settings() *network.EndpointSettings {
	s := ep.Config.Copy()
	s.NetworkID, s.EndpointID, s.MacAddress, s.DNSNames = ep.Network, ep.ID, network.HardwareAddr(ep.MAC), ep.DNSNames
	s.IPAddress, s.IPPrefixLen, s.Gateway = ep.IPv4.Addr(), max(ep.IPv4.Bits(), 0), ep.Gateway
	s.GlobalIPv6Address, s.GlobalIPv6PrefixLen, s.IPv6Gateway = ep.IPv6.Addr(), max(ep.IPv6.Bits(), 0), ep.Gateway6
	return s
}
