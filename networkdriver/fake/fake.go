package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
)

// Driver has networks that nothing runs through.
type Driver struct {
	mu       sync.Mutex
	networks map[string]*network
}

type network struct {
	networkdriver.Network
	endpoints map[string]*endpoint
}

type endpoint struct {
	networkdriver.Endpoint
	joined *networkdriver.Sandbox // nil: not connected
	ports  []networkdriver.Port
}

// New opens the driver.
func New(networkdriver.Config) (networkdriver.Driver, error) {
	return &Driver{networks: map[string]*network{}}, nil
}

// Capabilities: users make such networks, with addresses.
func (d *Driver) Capabilities() networkdriver.Capabilities {
	return networkdriver.Capabilities{Addresses: true}
}

// CreateNetwork makes a network, or takes over the one that is there.
func (d *Driver) CreateNetwork(_ context.Context, n networkdriver.Network) error {
	for key := range n.Options {
		if key == "com.docker.network.bridge.enable_icc" {
			return errs.Invalid("unknown option %q of a fake network", key)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.networks {
		for _, s := range other.IPv4 {
			if other.ID != n.ID && slices.ContainsFunc(n.IPv4, func(mine networkdriver.Subnet) bool { return mine.Pool.Overlaps(s.Pool) }) {
				return fmt.Errorf("subnet %s belongs to network %s: %w", s.Pool, other.Name, networkdriver.ErrInUse)
			}
		}
	}
	if nw := d.networks[n.ID]; nw != nil {
		nw.Network = n
		return nil
	}
	d.networks[n.ID] = &network{Network: n, endpoints: map[string]*endpoint{}}
	return nil
}

// DeleteNetwork forgets it.
func (d *Driver) DeleteNetwork(_ context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.networks, id)
	return nil
}

// find is called with the lock.
func (d *Driver) find(networkID, endpointID string) (*endpoint, error) {
	_, ep, err := networkdriver.Find(d.networks, func(nw *network) map[string]*endpoint { return nw.endpoints }, networkID, endpointID)
	return ep, err
}

// CreateEndpoint chooses the MAC.
func (d *Driver) CreateEndpoint(_ context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nw := d.networks[e.NetworkID]
	if nw == nil {
		return e, fmt.Errorf("network %.12s: %w", e.NetworkID, networkdriver.ErrNotFound)
	}
	if e.MAC == nil {
		e.MAC = networkdriver.MAC(e.Address.Addr())
	}
	if nw.endpoints[e.ID] == nil {
		nw.endpoints[e.ID] = &endpoint{}
	}
	nw.endpoints[e.ID].Endpoint = e
	return e, nil
}

// DeleteEndpoint forgets it, with its ports.
func (d *Driver) DeleteEndpoint(_ context.Context, networkID, endpointID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if nw := d.networks[networkID]; nw != nil {
		delete(nw.endpoints, endpointID)
	}
	return nil
}

// Join connects a sandbox. There is no interface to configure in it.
func (d *Driver) Join(_ context.Context, networkID, endpointID string, s networkdriver.Sandbox) (networkdriver.Joined, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ep, err := d.find(networkID, endpointID)
	if err != nil {
		return networkdriver.Joined{}, err
	}
	ep.joined = &s
	var j networkdriver.Joined
	if nw := d.networks[networkID]; !nw.Internal && len(nw.IPv4) > 0 {
		j.Gateway = nw.IPv4[0].Gateway
	}
	return j, nil
}

// Leave disconnects it.
func (d *Driver) Leave(_ context.Context, networkID, endpointID string, _ bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ep, err := d.find(networkID, endpointID)
	if errors.Is(err, networkdriver.ErrNotFound) {
		return nil
	}
	ep.joined = nil
	return err
}

// Publish replaces the ports of an endpoint.
func (d *Driver) Publish(_ context.Context, networkID, endpointID string, ports []networkdriver.Port) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ep, err := d.find(networkID, endpointID)
	if err == nil {
		ep.ports = slices.Clone(ports)
	}
	return err
}

// Restore takes over what a former process had.
func (d *Driver) Restore(ctx context.Context, networks []networkdriver.Restored) error {
	var failed []error
	for _, r := range networks {
		err := d.CreateNetwork(ctx, r.Network)
		for _, e := range r.Endpoints {
			if err == nil {
				_, err = d.CreateEndpoint(ctx, e.Endpoint)
			}
			if err == nil {
				_, err = d.Join(ctx, e.Endpoint.NetworkID, e.Endpoint.ID, e.Sandbox)
			}
			if err == nil {
				err = d.Publish(ctx, e.Endpoint.NetworkID, e.Endpoint.ID, e.Ports)
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("network %s: %w", r.Network.Name, err))
		}
	}
	return errors.Join(failed...)
}

// Clean forgets everything.
func (d *Driver) Clean(context.Context, []networkdriver.Network) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.networks)
	return nil
}

// Networks names the networks that there are, sorted.
func (d *Driver) Networks() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for nw := range maps.Values(d.networks) {
		names = append(names, nw.Name)
	}
	slices.Sort(names)
	return names
}

// Connect says which endpoint answers a connection, and at which of its ports: one of the same network at its
// own address, or the one that published the port at an address of the host, which are 127.0.0.1 and the gateways.
func (d *Driver) Connect(from string, to netip.AddrPort) (string, uint16, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var home *network // of the caller; nil is the host
	for _, nw := range d.networks {
		if ep := nw.endpoints[from]; ep != nil && ep.joined != nil {
			home = nw
		}
	}
	if from != "" && home == nil {
		return "", 0, errors.New("the caller is on no network")
	}
	local := home == nil && to.Addr().IsLoopback()
	for _, nw := range d.networks {
		for _, s := range nw.IPv4 {
			local = local || s.Gateway == to.Addr() && (home == nil || !home.Internal)
		}
		for id, ep := range nw.endpoints {
			if ep.joined != nil && ep.Address.Addr() == to.Addr() && (home == nil || home == nw) {
				return id, to.Port(), nil
			}
		}
	}
	for _, nw := range d.networks {
		for id, ep := range nw.endpoints {
			for _, p := range ep.ports {
				if n := int(to.Port()) - int(p.HostPort); local && ep.joined != nil && n >= 0 && n < int(p.Count) && (p.HostIP.IsUnspecified() || p.HostIP == to.Addr()) {
					return id, p.ContainerPort + uint16(n), nil
				}
			}
		}
	}
	return "", 0, errors.New("nobody answers")
}
