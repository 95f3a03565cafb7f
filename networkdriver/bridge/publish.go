package bridge

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge/firewall"
)

// Publish puts the ports of an endpoint into the firewall's maps.
func (d *Driver) Publish(_ context.Context, networkID, endpointID string, ports []networkdriver.Port) error {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return err
	}
	if err := d.table.Set(endpointID, d.portElements(nw, ep.Endpoint, ports)); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.BridgePublish); err != nil {
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

func (d *Driver) portElements(nw *network, e networkdriver.Endpoint, ports []networkdriver.Port) []firewall.Element {
	d.mu.Lock()
	relay := d.relay
	d.mu.Unlock()
	list := nw.direct(e, ports)
	for _, p := range ports {
		own, v6 := ownAddress(e, p), p.HostIP.Is6()
		relayed := netip.Addr{}
		switch {
		case p.HostPort == 0:
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

// ownAddress is an endpoint's of the family of a published port; it may be invalid.
func ownAddress(e networkdriver.Endpoint, p networkdriver.Port) netip.Addr {
	if p.HostIP.Is6() {
		return e.AddressIPv6.Addr()
	}
	return e.Address.Addr()
}

// direct opens ports where they are: to all if they are published so, and to interfaces of the host that are trusted.
func (nw *network) direct(e networkdriver.Endpoint, ports []networkdriver.Port) []firewall.Element {
	type at struct {
		addr   netip.Addr
		proto  string
		routed bool
	}
	wanted := map[at][]networkdriver.Port{}
	for _, p := range ports {
		if own := ownAddress(e, p); own.IsValid() && (p.HostPort == 0 || len(nw.trusted) > 0) {
			key := at{own, p.Proto, p.HostPort == 0}
			wanted[key] = append(wanted[key], p)
		}
	}
	var list []firewall.Element
	for key, ports := range wanted {
		for _, r := range runs(ports) {
			if key.routed {
				list = append(list, firewall.Open(key.proto, key.addr, r.first, r.count()))
				continue
			}
			for _, name := range nw.trusted {
				list = append(list, firewall.OpenFrom(name, key.proto, key.addr, r.first, r.count()))
			}
		}
	}
	return list
}

type portRun struct{ first, last uint16 }

func (r portRun) count() uint16 { return r.last - r.first + 1 }

// runs gives the ports of containers that are published, each once: intervals of a set must not overlap.
func runs(ports []networkdriver.Port) (list []portRun) {
	sorted := slices.Clone(ports)
	slices.SortFunc(sorted, func(a, b networkdriver.Port) int { return cmp.Compare(a.ContainerPort, b.ContainerPort) })
	for _, p := range sorted {
		r := portRun{p.ContainerPort, p.ContainerPort + p.Count - 1}
		if n := len(list); n > 0 && int(r.first) <= int(list[n-1].last)+1 {
			list[n-1].last = max(list[n-1].last, r.last)
			continue
		}
		list = append(list, r)
	}
	return list
}
