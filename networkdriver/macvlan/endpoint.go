package macvlan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
)

type endpoint struct {
	networkdriver.Endpoint

	mu      sync.Mutex
	sandbox *os.File // the namespace, while it is joined
}

// CreateEndpoint chooses the MAC; the interface is made by Join.
func (d *Driver) CreateEndpoint(_ context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	nw, _, err := d.find(e.NetworkID, "")
	if err != nil {
		return e, err
	}
	if nw.mode == netlink.MACVLAN_MODE_PASSTHRU {
		parent, err := d.links.LinkByName(nw.parent)
		if err != nil {
			return e, fmt.Errorf("%s: %w", nw.describe(), err)
		}
		e.MAC = parent.Attrs().HardwareAddr // the endpoint is the parent
	} else if e.MAC == nil {
		if e.MAC = networkdriver.MAC(e.Address.Addr()); e.MAC == nil {
			e.MAC = networkdriver.MAC(e.AddressIPv6.Addr())
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if nw.endpoints[e.ID] == nil {
		nw.endpoints[e.ID] = &endpoint{}
	}
	nw.endpoints[e.ID].Endpoint = e
	return e, nil
}

// Join makes the interface in the sandbox, under its final name.
func (d *Driver) Join(_ context.Context, networkID, endpointID string, s networkdriver.Sandbox) (networkdriver.Joined, error) {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return networkdriver.Joined{}, err
	}
	parent, err := d.links.LinkByName(nw.parent)
	if err != nil {
		return networkdriver.Joined{}, fmt.Errorf("%s: %w", nw.describe(), err)
	}
	ns, err := os.Open(s.Path)
	if err != nil {
		return networkdriver.Joined{}, fmt.Errorf("sandbox: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.HardwareAddr, attrs.Namespace = s.Interface, parent.Attrs().Index, ep.MAC, netlink.NsFd(ns.Fd())
	if attrs.MTU = parent.Attrs().MTU; nw.mtu > 0 {
		attrs.MTU = nw.mtu
	}
	err = d.links.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: nw.mode})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		err = errs.Unavailable("the kernel has no macvlan interfaces (module macvlan)")
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL) && nw.mode == netlink.MACVLAN_MODE_PASSTHRU:
		err = errs.Conflict("%s is in use: it is in a bridge, or has a container in mode passthru, which is alone there: %w", nw.describe(), err)
	case err != nil:
		err = fmt.Errorf("make %s on %s: %w", s.Interface, nw.parent, err)
	}
	if err != nil {
		ns.Close()
		return networkdriver.Joined{}, err
	}
	ep.remember(ns)
	j := networkdriver.Joined{InSandbox: true}
	if !nw.Internal && !nw.alone {
		j.Gateway, j.GatewayIPv6 = gateway(nw.IPv4), gateway(nw.IPv6)
	}
	return j, nil
}

// Leave removes the interface. It is held by its namespace alone, so that a namespace that others keep
// has to be entered.
func (d *Driver) Leave(_ context.Context, networkID, endpointID string, gone bool) error {
	_, ep, err := d.find(networkID, endpointID)
	if errors.Is(err, networkdriver.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if gone {
		ns := ep.take()
		go func() { _ = remove(ns, ep.MAC) }()
		return nil
	}
	return remove(ep.take(), ep.MAC)
}

// DeleteEndpoint forgets it.
func (d *Driver) DeleteEndpoint(_ context.Context, networkID, endpointID string) error {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return nil // it is absent
	}
	if ns := ep.take(); ns != nil {
		if err := remove(ns, ep.MAC); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(nw.endpoints, endpointID)
	return nil
}

// remove deletes the interface with a MAC from a namespace, and closes that.
func remove(ns *os.File, mac []byte) error {
	if ns == nil {
		return nil
	}
	defer ns.Close()
	links, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter a sandbox: %w", err)
	}
	defer links.Close()
	list, err := links.LinkList()
	if err != nil {
		return fmt.Errorf("interfaces of a sandbox: %w", err)
	}
	for _, l := range list {
		if l.Type() == "macvlan" && bytes.Equal(l.Attrs().HardwareAddr, mac) {
			if err := links.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				return fmt.Errorf("remove %s from a sandbox: %w", l.Attrs().Name, err)
			}
		}
	}
	return nil
}

// Restore takes over networks, and the sandboxes of their endpoints.
func (d *Driver) Restore(ctx context.Context, networks []networkdriver.Restored) error {
	var failed []error
	for _, r := range networks {
		err := d.CreateNetwork(ctx, r.Network)
		for _, e := range r.Endpoints {
			if err != nil {
				break
			}
			if _, err = d.CreateEndpoint(ctx, e.Endpoint); err != nil {
				break
			}
			var ns *os.File
			if ns, err = os.Open(e.Sandbox.Path); err == nil {
				_, ep, _ := d.find(e.Endpoint.NetworkID, e.Endpoint.ID)
				ep.remember(ns)
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("network %s: %w", r.Network.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (ep *endpoint) remember(ns *os.File) {
	ep.forget()
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.sandbox = ns
}

func (ep *endpoint) take() *os.File {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ns := ep.sandbox
	ep.sandbox = nil
	return ns
}

func (ep *endpoint) forget() {
	if ns := ep.take(); ns != nil {
		ns.Close()
	}
}
