package bridge

import (
	"context"
	"net/netip"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge/firewall"
)

// Publish puts the ports of an endpoint into the firewall's maps.
func (d *Driver) Publish(_ context.Context, networkID, endpointID string, ports []networkdriver.Port) error {
	_, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return err
	}
	if err := d.table.Set(endpointID, d.portElements(ep.Endpoint, ports)); err != nil {
		return err
	}
	d.published(ep.Endpoint, ports)
	d.mu.Lock()
	defer d.mu.Unlock()
	ep.ports = ports
	return nil
}

// Relay is told where the engine's relay listens.
func (d *Driver) Relay(port uint16) error {
	d.mu.Lock()
	d.relay = port
	d.mu.Unlock()
	if port == 0 {
		return d.table.Always(nil)
	}
	return d.table.Always(firewall.Relay(port))
}

// Routes tells whether the ports of a network are opened where they are.
func (d *Driver) Routes(networkID string, v6 bool) bool {
	nw, _, err := d.find(networkID, "")
	return err == nil && nw.mode(v6) == modeRouted
}

func (d *Driver) portElements(e networkdriver.Endpoint, ports []networkdriver.Port) []firewall.Element {
	d.mu.Lock()
	relay := d.relay
	d.mu.Unlock()
	var list []firewall.Element
	for _, p := range ports {
		own, v6 := e.Address.Addr(), p.HostIP.Is6()
		if v6 {
			own = e.AddressIPv6.Addr()
		}
		relayed := netip.Addr{}
		switch {
		case p.HostPort == 0:
			if own.IsValid() {
				list = append(list, firewall.Open(p.Proto, own, p.ContainerPort, p.Count))
			}
			continue
		case !own.IsValid():
			relayed = p.HostIP
		case v6 && (p.HostIP.IsUnspecified() || p.HostIP.IsLoopback()):
			// The way back of what is translated from ::1 leads into the loopback interface, and ends there.
			relayed = netip.IPv6Loopback()
		}
		if relayed.IsValid() && relay != 0 {
			list = append(list, firewall.Relayed(p.Proto, relayed, p.HostPort, p.Count, relay))
		}
		if own.IsValid() && !(v6 && p.HostIP.IsLoopback()) {
			list = append(list, firewall.Published(p.Proto, p.HostIP, p.HostPort, own, p.ContainerPort, p.Count)...)
		}
	}
	return list
}
