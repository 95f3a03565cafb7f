package networks

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks/ports"
)

// reservePorts gives a box its ports of the host.
func (n *Networks) reservePorts(box *Box) error {
	r := box.Asked
	var exposed []network.Port
	gateway := n.publishing(box)
	wanted, err := n.wantedPorts(r, gateway)
	if err != nil {
		return err
	}
	published := map[network.Port]bool{}
	for port := range r.Bindings {
		published[port] = true
	}
	onBridge := slices.ContainsFunc(box.Endpoints, func(ep *Endpoint) bool { return ep.IPv4.IsValid() || ep.IPv6.IsValid() })
	for port := range r.Exposed {
		if onBridge && !published[port] && !r.PublishAll {
			exposed = append(exposed, port)
		}
	}
	n.mu.Lock()
	box.Exposed = exposed
	n.mu.Unlock()
	if gateway == nil || len(wanted) == 0 {
		return nil // on a network without a way out, or none at all, ports are not published
	}
	given, err := n.ports.Reserve(box.Container, wanted)
	if err != nil {
		return fmt.Errorf("failed to set up container networking: driver failed programming external connectivity on endpoint %s (%s): %w", box.Name, gateway.ID, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	gateway.Publishes, box.Ports = true, given
	return nil
}

// publisher is the endpoint that has the published ports: the one with the default route; nil
// if there is none.
func (b *Box) publisher() *Endpoint {
	v4, v6 := b.gateways()
	if v4 == nil {
		return v6
	}
	return v4
}

// publishing is the publisher, if its driver publishes at all: with others ports have no effect.
func (n *Networks) publishing(box *Box) *Endpoint {
	ep := box.publisher()
	if ep == nil {
		return nil
	}
	if _, ok := n.cfg.Drivers[ep.network.Driver].(networkdriver.Publisher); !ok {
		return nil
	}
	return ep
}

// bindIP is where ports are published that name no address.
func (n *Networks) bindIP(gateway *Endpoint) netip.Addr {
	if gateway != nil {
		if a, err := netip.ParseAddr(gateway.network.Options["com.docker.network.bridge.host_binding_ipv4"]); err == nil {
			return a
		}
	}
	return n.cfg.BindIP
}

// wantedPorts turns the API's bindings into what the table understands, sorted.
func (n *Networks) wantedPorts(r AskedPorts, gateway *Endpoint) ([]ports.Want, error) {
	bindings := network.PortMap{}
	for port, list := range r.Bindings {
		if bindings[port] = list; len(list) == 0 {
			bindings[port] = []network.PortBinding{{}}
		}
	}
	if r.PublishAll {
		for port := range r.Exposed {
			if _, ok := bindings[port]; !ok {
				bindings[port] = []network.PortBinding{{}}
			}
		}
	}
	bind := n.bindIP(gateway)
	var wanted []ports.Want
	for port, list := range bindings {
		if p := port.Proto(); p != network.TCP && p != network.UDP {
			return nil, errs.Invalid("protocol %s of port %s can not be published", p, port)
		}
		for _, b := range list {
			first, last, err := ports.ParseRange(b.HostPort)
			if err != nil {
				return nil, err
			}
			w := ports.Want{Proto: string(port.Proto()), HostIP: b.HostIP, First: first, Last: last, ContainerPort: port.Num()}
			switch {
			case w.HostIP.IsValid():
				wanted = append(wanted, w)
			case bind == netip.IPv4Unspecified():
				w4, w6 := w, w
				w4.HostIP, w6.HostIP = netip.IPv4Unspecified(), netip.IPv6Unspecified()
				wanted = append(wanted, w4, w6)
			default:
				w.HostIP = bind
				wanted = append(wanted, w)
			}
		}
	}
	for i, w := range wanted {
		wanted[i].Routed = n.routes(gateway, w.HostIP.Is6())
	}
	slices.SortStableFunc(wanted, func(a, b ports.Want) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.First, b.First), unspecifiedFirst(a.HostIP, b.HostIP), a.HostIP.Compare(b.HostIP))
	})
	return wanted, nil
}

// unspecifiedFirst keeps the two together that are to get the same number.
func unspecifiedFirst(a, b netip.Addr) int {
	switch {
	case a.IsUnspecified() == b.IsUnspecified():
		return 0
	case a.IsUnspecified():
		return -1
	}
	return 1
}

// routes tells whether the ports of an endpoint are opened at its own address.
func (n *Networks) routes(ep *Endpoint, v6 bool) bool {
	if ep == nil {
		return false
	}
	r, ok := n.cfg.Drivers[ep.network.Driver].(networkdriver.Router)
	return ok && r.Routes(ep.Network, v6)
}

// publish tells the driver about the ports of a box.
func (n *Networks) publish(ctx context.Context, box *Box) error {
	for _, ep := range box.Endpoints {
		if !ep.Publishes || len(box.Ports) == 0 {
			continue
		}
		driver := n.cfg.Drivers[ep.network.Driver]
		p, ok := driver.(networkdriver.Publisher)
		if !ok {
			return errs.Invalid("network %s: its driver %s can not publish ports", ep.network.Name, ep.network.Driver)
		}
		if err := n.openRelay(driver); err != nil {
			return err
		}
		if err := p.Publish(ctx, ep.Network, ep.ID, runs(box.Ports)); err != nil {
			return err
		}
	}
	return nil
}

// openRelay makes the relay listen, with the first published port, and tells the driver where.
func (n *Networks) openRelay(driver networkdriver.Driver) error {
	r, ok := driver.(networkdriver.Relayer)
	if !ok {
		return nil
	}
	n.relaying.Lock()
	defer n.relaying.Unlock()
	if n.relayed[driver] {
		return nil
	}
	port, err := n.relay.Open()
	if err != nil {
		// What the kernel translates works without it.
		n.cfg.Log.Errorf("published ports are not reached from ::1, nor by another family of addresses than the container's: %v", err)
		return nil
	}
	if err := r.Relay(port); err != nil {
		return err
	}
	n.relayed[driver] = true
	return nil
}

// relayTo says where the relay brings what came to a published port.
func (n *Networks) relayTo(proto string, at netip.AddrPort) (netip.AddrPort, bool) {
	box := n.box(n.ports.Owner(proto, at))
	if box == nil {
		return netip.AddrPort{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range box.Ports {
		if g.Proto != proto || g.HostPort != at.Port() || g.HostIP != at.Addr() && !(g.HostIP.IsUnspecified() && g.HostIP.Is4() == at.Addr().Is4()) {
			continue
		}
		for _, ep := range box.Endpoints {
			to := ep.IPv4.Addr()
			if at.Addr().Is6() && ep.IPv6.IsValid() || !to.IsValid() {
				to = ep.IPv6.Addr()
			}
			if ep.Publishes {
				return netip.AddrPortFrom(to, g.ContainerPort), to.IsValid()
			}
		}
	}
	return netip.AddrPort{}, false
}

// runs puts ports that follow each other on both sides together.
func runs(given []ports.Given) []networkdriver.Port {
	sorted := slices.Clone(given)
	slices.SortFunc(sorted, func(a, b ports.Given) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.ContainerPort, b.ContainerPort))
	})
	var list []networkdriver.Port
	for _, g := range sorted {
		if len(list) > 0 {
			last := &list[len(list)-1]
			if last.Proto == g.Proto && last.HostIP == g.HostIP && follows(last, g) && g.ContainerPort == last.ContainerPort+last.Count {
				last.Count++
				continue
			}
		}
		list = append(list, networkdriver.Port{Proto: g.Proto, HostIP: g.HostIP, HostPort: g.HostPort, ContainerPort: g.ContainerPort, Count: 1})
	}
	return list
}

// follows tells whether a port of the host is the next one after a run; without ports of the host all are.
func follows(run *networkdriver.Port, g ports.Given) bool {
	if run.HostPort == 0 || g.HostPort == 0 {
		return run.HostPort == g.HostPort
	}
	return g.HostPort == run.HostPort+run.Count
}

// Ports gives the published and exposed ports of a running container as the API shows them.
func (b *Box) portMap() network.PortMap {
	m := network.PortMap{}
	for _, p := range b.Exposed {
		m[p] = nil
	}
	for _, g := range b.Ports {
		port, _ := network.PortFrom(g.ContainerPort, network.IPProtocol(g.Proto))
		b := network.PortBinding{HostIP: g.HostIP}
		if g.HostPort != 0 {
			b.HostPort = strconv.Itoa(int(g.HostPort))
		}
		m[port] = append(m[port], b)
	}
	return m
}
