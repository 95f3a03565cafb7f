package macvlan

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
)

// Driver makes macvlan networks.
type Driver struct {
	cfg   networkdriver.Config
	links *netlink.Handle

	mu       sync.Mutex
	networks map[string]*network
}

type network struct {
	networkdriver.Network
	settings
	endpoints map[string]*endpoint
}

// New opens the driver.
func New(cfg networkdriver.Config) (networkdriver.Driver, error) {
	if cfg.Instance == "" {
		cfg.Instance = "engine"
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	return &Driver{cfg: cfg, links: links, networks: map[string]*network{}}, nil
}

// Close ends the driver's connection to the kernel.
func (d *Driver) Close() error {
	d.links.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, nw := range d.networks {
		for _, ep := range nw.endpoints {
			ep.forget()
		}
	}
	return nil
}

// Capabilities: users make such networks, with addresses; the host has no part in them.
func (d *Driver) Capabilities() networkdriver.Capabilities {
	return networkdriver.Capabilities{Addresses: true, Detached: true}
}

// Complete says that a network without a parent is internal.
func (d *Driver) Complete(n networkdriver.Network) (networkdriver.Network, error) {
	s, err := parse(n)
	n.Internal = n.Internal || s.alone
	return n, err
}

// mark is the alias of the interfaces that we made.
func (d *Driver) mark() string { return "macvlan parent of " + d.cfg.Instance }

// CreateNetwork looks for the parent, or makes it.
func (d *Driver) CreateNetwork(_ context.Context, n networkdriver.Network) error {
	s, err := parse(n)
	if err != nil {
		return err
	}
	nw := &network{Network: n, settings: s, endpoints: map[string]*endpoint{}}
	d.mu.Lock()
	defer d.mu.Unlock() // one network at a time may ask for a parent
	for _, other := range d.networks {
		if other.ID == n.ID {
			nw.endpoints = other.endpoints
		} else if other.parent == s.parent {
			return fmt.Errorf("network dm-%s is already using parent interface %s: %w", networkdriver.Short(other.ID), s.parent, networkdriver.ErrInUse)
		}
	}
	if err := d.makeParent(nw); err != nil {
		return err
	}
	d.networks[n.ID] = nw
	return nil
}

func (d *Driver) makeParent(nw *network) error {
	link, err := d.links.LinkByName(nw.parent)
	if err == nil {
		if link.Attrs().Alias == d.mark() {
			return d.up(link)
		}
		if kind := link.Type(); nw.alone && link.Attrs().Alias == "" && (kind == "dummy" || kind == "ifb") {
			return d.claim(link) // who made it was killed before it could say so
		}
		if nw.alone {
			return fmt.Errorf("interface %s is there already: %w", nw.parent, networkdriver.ErrInUse)
		}
		return nil
	}
	if !errors.As(err, new(netlink.LinkNotFoundError)) {
		return fmt.Errorf("%s: %w", nw.parent, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = nw.parent
	switch {
	case nw.alone:
		err = d.links.LinkAdd(&netlink.Dummy{LinkAttrs: attrs})
		if errors.Is(err, unix.EOPNOTSUPP) { // a kernel without dummies may have these, which are as good here
			err = d.links.LinkAdd(&netlink.Ifb{LinkAttrs: attrs})
		}
		if errors.Is(err, unix.EOPNOTSUPP) {
			return errs.Unavailable("the kernel has no interfaces of type dummy: name a parent (-o parent=eth0)")
		}
	case nw.vlan > 0:
		var below netlink.Link
		if below, err = d.links.LinkByName(nw.on); err != nil {
			return errs.Invalid("failed to find master interface %s on the host: %w", nw.on, err)
		}
		attrs.ParentIndex = below.Attrs().Index
		err = d.links.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: nw.vlan, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
		if errors.Is(err, unix.EOPNOTSUPP) {
			return errs.Unavailable("the kernel has no VLANs (module 8021q): %s can not be made", nw.parent)
		}
	default:
		return errs.Invalid("invalid subinterface vlan name %s, example formatting is eth0.10: there is no interface of this name", nw.parent)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", nw.parent, err)
	}
	link, err = d.links.LinkByName(nw.parent)
	if err != nil {
		return fmt.Errorf("%s: %w", nw.parent, err)
	}
	if err := d.claim(link); err != nil {
		return errors.Join(err, d.links.LinkDel(link))
	}
	return nil
}

// claim marks an interface that was just made as ours.
func (d *Driver) claim(link netlink.Link) error {
	if err := d.links.LinkSetAlias(link, d.mark()); err != nil {
		return fmt.Errorf("mark %s as ours: %w", link.Attrs().Name, err)
	}
	return d.up(link)
}

func (d *Driver) up(link netlink.Link) error {
	if err := d.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch on %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// removeParent removes the interface if it is ours.
func (d *Driver) removeParent(name string) error {
	link, err := d.links.LinkByName(name)
	if err == nil && link.Attrs().Alias == d.mark() {
		err = d.links.LinkDel(link)
	}
	if err == nil || errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove %s: %w", name, err)
}

// DeleteNetwork removes the parent if we made it.
func (d *Driver) DeleteNetwork(_ context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	nw := d.networks[id]
	if nw == nil {
		return nil
	}
	if err := d.removeParent(nw.parent); err != nil {
		return err
	}
	delete(d.networks, id)
	return nil
}

// Clean removes the parents that we made; what is on top of them goes with them.
func (d *Driver) Clean(context.Context, []networkdriver.Network) error {
	links, err := d.links.LinkList()
	failed := []error{err}
	for _, l := range links {
		if l.Attrs().Alias == d.mark() {
			failed = append(failed, d.removeParent(l.Attrs().Name))
		}
	}
	return errors.Join(failed...)
}

func (d *Driver) find(networkID, endpointID string) (*network, *endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return networkdriver.Find(d.networks, func(nw *network) map[string]*endpoint { return nw.endpoints }, networkID, endpointID)
}
