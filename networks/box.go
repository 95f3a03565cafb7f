package networks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks/dns"
	"github.com/jobengine/engine/networks/ports"
)

// A Box is the network side of a running container.
type Box struct {
	Format    int
	Container string // id
	Name      string
	Hostname  string
	Pid       int    // of the process whose namespace it is
	StartTime uint64 // of Pid, in /proc/PID/stat
	Endpoints []*Endpoint
	Ports     []ports.Given
	Exposed   []network.Port // those without a port of the host
	Servers   []netip.Addr   `json:",omitempty"` // that its resolver asks; nil: those of the daemon
	Resolver  bool           `json:",omitempty"` // it has one

	Asked AskedPorts
	Links []string `json:",omitempty"` // ids of containers, whose exposed ports it reaches on the default network

	dns *dns.Server
}

// AskedPorts are what a container wants of ports, which it gets on a network with a way out.
type AskedPorts struct {
	Exposed    network.PortSet `json:",omitempty"`
	Bindings   network.PortMap `json:",omitempty"`
	PublishAll bool            `json:",omitempty"`
}

// An Endpoint is the place of a box on a network.
type Endpoint struct {
	Network   string // id
	ID        string
	Interface string // inside: eth0; "" if there is none
	MAC       net.HardwareAddr
	IPv4      netip.Prefix `json:",omitzero"`
	IPv6      netip.Prefix `json:",omitzero"`
	Gateway   netip.Addr   `json:",omitzero"`
	Gateway6  netip.Addr   `json:",omitzero"`
	Config    *network.EndpointSettings
	DNSNames  []string
	Publishes bool // it has the ports of the box
	Leaving   bool `json:",omitempty"` // a disconnect of it has begun

	network *Network
	box     *Box
}

// A Request is what a container that starts wants.
type Request struct {
	Container, Name, Hostname string
	Mode                      string                               // of the container: a network's name or id, "default", "none", "host"
	Endpoints                 map[string]*network.EndpointSettings // by network, as the container is configured; nil: only that of the mode
	Exposed                   network.PortSet
	Bindings                  network.PortMap
	PublishAll                bool
	Servers                   []netip.Addr // that are asked for names that no network knows; nil: those of the daemon
	Links                     []string     // ids of containers
}

// Allocate reserves addresses and ports for a container that is about to start. After an
// error nothing is reserved. Join or Release follows.
func (n *Networks) Allocate(ctx context.Context, r Request) error {
	box := &Box{Format: format, Container: r.Container, Name: r.Name, Hostname: r.Hostname, Servers: r.Servers, Links: r.Links}
	n.mu.Lock()
	_, twice := n.boxes[r.Container]
	if !twice {
		n.boxes[r.Container] = box
	}
	n.mu.Unlock()
	if twice {
		return errs.Conflict("container %s has its networks already", r.Name)
	}
	err := n.allocate(ctx, box, r)
	if err != nil {
		err = errors.Join(err, n.release(ctx, box, false))
	}
	return err
}

func (n *Networks) allocate(ctx context.Context, box *Box, r Request) error {
	for _, name := range n.order(r) {
		ref := name
		if name == "default" {
			ref = n.defaultName()
		}
		nw, err := n.find(ref)
		if err != nil {
			return err
		}
		if _, err := n.addEndpoint(ctx, box, nw, r.Endpoints[name], r.Hostname); err != nil {
			return err
		}
	}
	n.mu.Lock()
	box.Asked = AskedPorts{r.Exposed, r.Bindings, r.PublishAll}
	n.mu.Unlock()
	return n.reservePorts(box)
}

// order gives the networks of a request: that of the mode first, the others by name.
func (n *Networks) order(r Request) []string {
	first := r.Mode
	if first == "" {
		first = "default"
	}
	others := []string{}
	seen := false
	for name := range r.Endpoints {
		if name == first {
			seen = true
		} else {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	if seen || r.Endpoints == nil {
		return append([]string{first}, others...)
	}
	return others
}

// addEndpoint puts a box on a network.
func (n *Networks) addEndpoint(ctx context.Context, box *Box, nw *Network, config *network.EndpointSettings, hostname string) (*Endpoint, error) {
	if config == nil {
		config = &network.EndpointSettings{}
	}
	driver := n.cfg.Drivers[nw.Driver]
	if driver == nil {
		return nil, errs.NotFound("network %s: its driver %q is not there", nw.Name, nw.Driver)
	}
	ep := &Endpoint{Network: nw.ID, ID: newID(), MAC: net.HardwareAddr(config.MacAddress), Config: config, network: nw, box: box}
	if err := n.enter(ep); err != nil {
		return nil, err
	}
	err := n.address(ep)
	if err == nil {
		var made networkdriver.Endpoint
		made, err = driver.CreateEndpoint(ctx, ep.forDriver())
		ep.MAC = made.MAC
	}
	if err != nil {
		n.leave(ep)
		return nil, err
	}
	ep.DNSNames = dnsNames(nw, box, config, hostname)
	return ep, nil
}

// enter notes an endpoint, so that its network is in use from now on.
func (n *Networks) enter(ep *Endpoint) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ep.network.ConfigOnly {
		return errs.Forbidden("cannot create endpoint on configuration-only network")
	}
	if ep.network.removing || n.byID[ep.Network] != ep.network {
		return errs.NotFound("network %s not found", ep.network.Name)
	}
	for _, other := range ep.box.Endpoints {
		if other.Network == ep.Network {
			return errs.Forbidden("endpoint with name %s already exists in network %s", ep.box.Name, ep.network.Name)
		}
	}
	ep.network.endpoints[ep.ID] = ep
	ep.box.Endpoints = append(ep.box.Endpoints, ep)
	return nil
}

func (n *Networks) leave(ep *Endpoint) {
	ep.network.free(ep.IPv4)
	ep.network.free(ep.IPv6)
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(ep.network.endpoints, ep.ID)
	ep.box.Endpoints = slices.DeleteFunc(slices.Clone(ep.box.Endpoints), func(e *Endpoint) bool { return e == ep })
}

// address reserves the addresses of an endpoint.
func (n *Networks) address(ep *Endpoint) (err error) {
	nw := ep.network
	var wanted network.EndpointIPAMConfig
	if ep.Config.IPAMConfig != nil {
		wanted = *ep.Config.IPAMConfig
	}
	if err := nw.mayName(wanted.IPv4Address, wanted.IPv6Address); err != nil {
		return err
	}
	if !networkdriver.CapabilitiesOf(n.cfg.Drivers[nw.Driver]).Addresses {
		return nil
	}
	defer func() {
		if err == nil {
			n.noteGiven(nw)
		}
	}()
	if nw.EnableIPv4 {
		if ep.IPv4, err = nw.address(false, wanted.IPv4Address); err != nil {
			return err
		}
	}
	if nw.EnableIPv6 {
		if ep.IPv6, err = nw.address(true, wanted.IPv6Address); err != nil {
			return err
		}
	}
	return nil
}

// mayName tells whether users may name addresses: in subnets that they named themselves.
func (nw *Network) mayName(addrs ...netip.Addr) error {
	for _, a := range addrs {
		switch {
		case !a.IsValid():
		case !nw.userDefined():
			return errs.Invalid("user specified IP address is supported on user defined networks only")
		case !slices.ContainsFunc(nw.Subnets, func(s subnet) bool { return s.Given && s.Subnet.Addr().Is6() == a.Is6() }):
			return errs.Invalid("user specified IP address is supported only when connecting to networks with user configured subnets")
		}
	}
	return nil
}

// dnsNames are the names by which others on the network find a box, the one for
// reverse lookups first.
func dnsNames(nw *Network, box *Box, config *network.EndpointSettings, hostname string) []string {
	if !nw.userDefined() {
		return nil
	}
	all := append([]string{box.Name}, config.Aliases...)
	all = append(all, box.Container[:12])
	if hostname != "" {
		all = append(all, hostname)
	}
	var once []string
	for _, name := range all {
		if !slices.ContainsFunc(once, func(o string) bool { return strings.EqualFold(o, name) }) {
			once = append(once, name)
		}
	}
	return once
}

func (ep *Endpoint) forDriver() networkdriver.Endpoint {
	return networkdriver.Endpoint{
		NetworkID: ep.Network, ID: ep.ID, Address: ep.IPv4, AddressIPv6: ep.IPv6, MAC: ep.MAC, Options: ep.Config.DriverOpts,
	}
}

// Join connects the namespace of a process, with everything that Allocate reserved. After an
// error Release is still due.
func (n *Networks) Join(ctx context.Context, container string, pid int, startTime uint64) error {
	box := n.box(container)
	if box == nil {
		return fmt.Errorf("container %s has no networks", container)
	}
	n.mu.Lock()
	box.Pid, box.StartTime = pid, startTime
	n.mu.Unlock()
	gateway, gateway6 := box.gateways()
	var inside []sandbox.Interface
	for i, ep := range box.Endpoints {
		itf, err := n.join(ctx, ep, fmt.Sprintf("eth%d", i))
		if err != nil {
			return err
		}
		if ep != gateway {
			itf.Gateway = netip.Addr{}
		}
		if ep != gateway6 {
			itf.GatewayIPv6 = netip.Addr{}
		}
		if itf.Name != "" {
			inside = append(inside, itf)
		}
	}
	if len(inside) > 0 {
		if err := sandbox.Connect(box.path(), inside...); err != nil {
			return err
		}
		for _, ep := range box.Endpoints {
			n.settle(ctx, ep)
		}
	}
	if err := n.publish(ctx, box); err != nil {
		return err
	}
	if err := n.linkAll(ctx, box); err != nil {
		return err
	}
	for _, ep := range box.Endpoints {
		n.announce(ep)
	}
	if err := n.resolve(box); err != nil {
		return fmt.Errorf("failed to set up container networking: resolver of container %s: %w", box.Name, err)
	}
	if err := n.saveBox(box); err != nil {
		return err
	}
	for _, ep := range box.Endpoints {
		n.event(events.ActionConnect, ep.network, map[string]string{"container": container})
	}
	return nil
}

func (n *Networks) settle(ctx context.Context, ep *Endpoint) {
	if s, ok := n.cfg.Drivers[ep.network.Driver].(networkdriver.Settler); ok {
		s.Settle(ctx, ep.Network, ep.ID)
	}
}

func (b *Box) path() string { return fmt.Sprintf("/proc/%d/ns/net", b.Pid) }

// join lets the driver connect a box, and says what is to be configured inside.
func (n *Networks) join(ctx context.Context, ep *Endpoint, name string) (sandbox.Interface, error) {
	j, err := n.cfg.Drivers[ep.network.Driver].Join(ctx, ep.Network, ep.ID, networkdriver.Sandbox{Path: ep.box.path(), Interface: name})
	if err != nil {
		return sandbox.Interface{}, fmt.Errorf("failed to set up container networking: network %s: %w", ep.network.Name, err)
	}
	if j.Interface == "" && !j.InSandbox {
		return sandbox.Interface{}, nil
	}
	n.mu.Lock()
	ep.Interface, ep.Gateway, ep.Gateway6 = name, j.Gateway, j.GatewayIPv6
	n.mu.Unlock()
	itf := sandbox.Interface{
		Name: name, From: j.Interface, MAC: ep.MAC, Address: ep.IPv4, AddressIPv6: ep.IPv6, Gateway: j.Gateway, GatewayIPv6: j.GatewayIPv6,
	}
	for _, r := range j.Routes {
		itf.Routes = append(itf.Routes, sandbox.Route(r))
	}
	if c := ep.Config.IPAMConfig; c != nil {
		for _, a := range c.LinkLocalIPs {
			itf.LinkLocal = append(itf.LinkLocal, netip.PrefixFrom(a, 16))
		}
	}
	return itf, nil
}

// gateways gives the endpoints that have the default routes.
func (b *Box) gateways() (v4, v6 *Endpoint) {
	if all := b.waysOut(false); len(all) > 0 {
		v4 = all[0]
	}
	if all := b.waysOut(true); len(all) > 0 {
		v6 = all[0]
	}
	return v4, v6
}

// waysOut are the endpoints whose network has a way out, those with the highest priority and then the
// first name first.
func (b *Box) waysOut(v6 bool) []*Endpoint {
	var all []*Endpoint
	for _, ep := range b.Endpoints {
		if !ep.network.Internal && (v6 && ep.IPv6.IsValid() || !v6 && ep.IPv4.IsValid()) {
			all = append(all, ep)
		}
	}
	slices.SortStableFunc(all, func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(b.Config.GwPriority, a.Config.GwPriority), cmp.Compare(a.network.Name, b.network.Name))
	})
	return all
}

func (n *Networks) box(container string) *Box {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.boxes[container]
}

// Release takes a container from its networks: its process has ended, or will not
// start. A container without a box is no error.
func (n *Networks) Release(ctx context.Context, container string) error {
	box := n.box(container)
	if box == nil {
		return nil
	}
	return n.release(ctx, box, true)
}

func (n *Networks) release(ctx context.Context, box *Box, events bool) error {
	var failed []error
	n.silence(box)
	for _, ep := range slices.Backward(slices.Clone(box.Endpoints)) {
		if err := n.removeEndpoint(ctx, ep, true, events && box.Pid != 0); err != nil {
			failed = append(failed, err)
		}
	}
	n.ports.Free(box.Container, box.Ports)
	if err := n.cfg.FS.Remove(n.boxPath(box.Container)); err != nil && !errors.Is(err, errNotExist) {
		failed = append(failed, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.boxes, box.Container)
	return errors.Join(failed...)
}

// removeEndpoint takes a box from one network. What fails is reported, and does not keep the
// addresses from being given back.
func (n *Networks) removeEndpoint(ctx context.Context, ep *Endpoint, gone, tell bool) error {
	if zone := ep.network.zone; zone != nil {
		zone.Remove(ep.ID)
	}
	driver := n.cfg.Drivers[ep.network.Driver]
	err := errors.Join(driver.Leave(ctx, ep.Network, ep.ID, gone), driver.DeleteEndpoint(ctx, ep.Network, ep.ID))
	n.leave(ep)
	if ep.Publishes {
		for _, p := range []netip.Prefix{ep.IPv4, ep.IPv6} {
			if p.IsValid() {
				n.relay.Forget(p.Addr())
			}
		}
	}
	if tell {
		n.event(events.ActionDisconnect, ep.network, map[string]string{"container": ep.box.Container})
	}
	return err
}

func (n *Networks) boxPath(container string) string {
	return filepath.Join(n.cfg.RunDir, container+".json")
}

// saveBox writes down what a later daemon has to know while the container runs.
func (n *Networks) saveBox(box *Box) error {
	return durable.WriteJSONUnsynced(n.cfg.FS, n.boxPath(box.Container), box, 0o600)
}
