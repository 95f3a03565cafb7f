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
func (n *Networks) reservePorts(box *Box, r Request) error {
	wanted, err := n.wantedPorts(r)
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
			box.Exposed = append(box.Exposed, port)
		}
	}
	gateway, _ := box.gateways()
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

// wantedPorts turns the API's bindings into what the table understands, sorted.
func (n *Networks) wantedPorts(r Request) ([]ports.Want, error) {
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
			case n.cfg.BindIP.IsUnspecified():
				w4, w6 := w, w
				w4.HostIP, w6.HostIP = netip.IPv4Unspecified(), netip.IPv6Unspecified()
				wanted = append(wanted, w4, w6)
			default:
				w.HostIP = n.cfg.BindIP
				wanted = append(wanted, w)
			}
		}
	}
	slices.SortStableFunc(wanted, func(a, b ports.Want) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.First, b.First), a.HostIP.Compare(b.HostIP))
	})
	return wanted, nil
}

// publish tells the driver about the ports of a box.
func (n *Networks) publish(ctx context.Context, box *Box) error {
	for _, ep := range box.Endpoints {
		if !ep.Publishes || len(box.Ports) == 0 {
			continue
		}
		p, ok := n.cfg.Drivers[ep.network.Driver].(networkdriver.Publisher)
		if !ok {
			return errs.Invalid("network %s: its driver %s can not publish ports", ep.network.Name, ep.network.Driver)
		}
		if err := p.Publish(ctx, ep.Network, ep.ID, runs(box.Ports)); err != nil {
			return err
		}
	}
	return nil
}

// runs puts ports that follow each other on both sides together.
func runs(given []ports.Given) []networkdriver.Port {
	sorted := slices.Clone(given)
	slices.SortFunc(sorted, func(a, b ports.Given) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	var list []networkdriver.Port
	for _, g := range sorted {
		if len(list) > 0 {
			last := &list[len(list)-1]
			if last.Proto == g.Proto && last.HostIP == g.HostIP && g.HostPort == last.HostPort+last.Count && g.ContainerPort == last.ContainerPort+last.Count {
				last.Count++
				continue
			}
		}
		list = append(list, networkdriver.Port{Proto: g.Proto, HostIP: g.HostIP, HostPort: g.HostPort, ContainerPort: g.ContainerPort, Count: 1})
	}
	return list
}

// Ports gives the published and exposed ports of a running container as the API shows them.
func (b *Box) portMap() network.PortMap {
	m := network.PortMap{}
	for _, p := range b.Exposed {
		m[p] = nil
	}
	for _, g := range b.Ports {
		port, _ := network.PortFrom(g.ContainerPort, network.IPProtocol(g.Proto))
		m[port] = append(m[port], network.PortBinding{HostIP: g.HostIP, HostPort: strconv.Itoa(int(g.HostPort))})
	}
	return m
}
