package networks

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/jobengine/engine/networks/dns"
)

// Names on networks: each network of users has a zone, each running container on
// one a resolver in its namespace. Both follow what boxes and endpoints are; nothing else is kept.

// announce puts an endpoint that is joined into the zone of its network.
func (n *Networks) announce(ep *Endpoint) {
	if zone := ep.network.zone; zone != nil && ep.Interface != "" {
		zone.Set(ep.ID, ep.DNSNames, ep.IPv4.Addr(), ep.IPv6.Addr())
	}
}

// resolve makes what a running box may ask what its networks say, and gives it a resolver if it needs
// one. A box that has had one keeps it, since its processes may go on to ask there.
func (n *Networks) resolve(box *Box) error {
	n.mu.Lock()
	server, view := box.dns, n.viewOf(box)
	wanted := box.Resolver || len(view.Zones) > 0
	box.Resolver = wanted
	n.mu.Unlock()
	switch {
	case !wanted:
		return nil
	case server != nil:
		server.Set(view)
		return nil
	}
	server, err := dns.Serve(box.path(), n.forwarder, view, n.cfg.Log)
	if err != nil {
		return err
	}
	n.mu.Lock()
	box.dns = server
	n.mu.Unlock()
	return nil
}

// viewOf is what a box may ask. n.mu is held.
func (n *Networks) viewOf(box *Box) *dns.View {
	v := &dns.View{Servers: box.Servers}
	for _, ep := range box.Endpoints {
		for _, p := range []netip.Prefix{ep.IPv4, ep.IPv6} {
			if p.IsValid() {
				v.Inside = append(v.Inside, p.Masked())
			}
		}
		if ep.network.zone != nil && ep.Interface != "" {
			v.Zones = append(v.Zones, dns.ZoneView{Zone: ep.network.zone, Links: links(ep.Config.Links)})
		}
	}
	v4, v6 := box.gateways()
	v.Outside, v.IPv6 = v4 != nil || v6 != nil, v6 != nil
	return v
}

// links gives what an endpoint calls others: alias to name.
func links(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	byAlias := map[string]string{}
	for _, l := range list {
		name, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = name
		}
		byAlias[strings.ToLower(alias)] = strings.ToLower(strings.TrimPrefix(name, "/"))
	}
	return byAlias
}

// silence ends the resolver of a box: its namespace can go.
func (n *Networks) silence(box *Box) {
	n.mu.Lock()
	server := box.dns
	box.dns = nil
	n.mu.Unlock()
	if server != nil {
		server.Close()
	}
}

// Rename gives a running container another name on its networks.
func (n *Networks) Rename(_ context.Context, container, name string) error {
	n.mu.Lock()
	box := n.boxes[container]
	if box == nil {
		n.mu.Unlock()
		return nil
	}
	box.Name = name
	for _, ep := range box.Endpoints {
		ep.DNSNames = dnsNames(ep.network, box, ep.Config, box.Hostname)
		n.announce(ep)
	}
	running := box.Pid != 0
	n.mu.Unlock()
	if !running {
		return nil
	}
	return n.saveBox(box)
}

// resolveAll gives the boxes of an earlier daemon their resolvers back.
func (n *Networks) resolveAll() {
	const atOnce = 8
	var all sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for _, box := range n.boxes {
		for _, ep := range box.Endpoints {
			n.announce(ep)
		}
	}
	for _, box := range n.boxes {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if err := n.resolve(box); err != nil {
				n.cfg.Log.Errorf("container %s: names do not resolve in it: %v", box.Name, err)
			}
		})
	}
	all.Wait()
}

// closeResolvers ends what answers containers; the rules that lead there stay.
func (n *Networks) closeResolvers() {
	for _, box := range n.allBoxes() {
		n.silence(box)
	}
}

// HostGateway gives the addresses at which containers reach the host, for those that ask for
// host-gateway: as the daemon was told, else those of the default bridge, else the container's own gateways.
func (n *Networks) HostGateway(container string) ([]netip.Addr, error) {
	if len(n.cfg.HostGateway) > 0 {
		return n.cfg.HostGateway, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []netip.Addr
	if nw := n.byID[n.predefinedID("bridge")]; nw != nil {
		for _, s := range nw.Subnets {
			list = append(list, s.Gateway)
		}
	}
	if box := n.boxes[container]; len(list) == 0 && box != nil {
		for _, ep := range box.Endpoints {
			if ep.network.Internal {
				continue
			}
			for _, s := range ep.network.Subnets {
				list = append(list, s.Gateway)
			}
			break
		}
	}
	list = slices.DeleteFunc(list, func(a netip.Addr) bool { return !a.IsValid() })
	if len(list) == 0 {
		return nil, errors.New("unable to derive the IP value for host-gateway")
	}
	return list, nil
}
