package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge/firewall"
)

// CreateEndpoint chooses the MAC; the pair is made by Join.
func (d *Driver) CreateEndpoint(_ context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	nw, _, err := d.find(e.NetworkID, "")
	if err != nil {
		return e, err
	}
	if e.MAC == nil {
		if e.MAC = networkdriver.MAC(e.Address.Addr()); e.MAC == nil {
			e.MAC = networkdriver.MAC(e.AddressIPv6.Addr())
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if nw.endpoints[e.ID] == nil {
		nw.endpoints[e.ID] = &endpoint{}
	}
	nw.endpoints[e.ID].Endpoint, nw.endpoints[e.ID].link = e, linkName(e.ID)
	return e, nil
}

// linkName is the host's end of an endpoint's pair.
func linkName(endpointID string) string {
	if len(endpointID) > 10 {
		endpointID = endpointID[:10]
	}
	return "veth" + endpointID
}

// Join makes the pair, one end on the bridge, the other in the sandbox.
func (d *Driver) Join(_ context.Context, networkID, endpointID string, s networkdriver.Sandbox) (networkdriver.Joined, error) {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return networkdriver.Joined{}, err
	}
	ns, err := os.Open(s.Path)
	if err != nil {
		return networkdriver.Joined{}, fmt.Errorf("sandbox: %w", err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.MTU, attrs.Flags = ep.link, d.indexOf(nw), nw.mtu, net.FlagUp
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: s.Interface, PeerHardwareAddr: ep.MAC, PeerNamespace: netlink.NsFd(ns.Fd())}
	if nw.mtu > 0 {
		pair.PeerMTU = uint32(nw.mtu)
	}
	// The pair is made before it is put onto the bridge: a failure may leave it.
	add := func() error {
		err := d.links.LinkAdd(pair)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			err = errors.Join(err, d.deleteLink(ep.link))
		}
		return err
	}
	err = add()
	if err != nil && d.repair(nw) {
		pair.MasterIndex = d.indexOf(nw)
		err = add()
	}
	if err != nil {
		return networkdriver.Joined{}, fmt.Errorf("make the pair %s and %s: %w", ep.link, s.Interface, err)
	}
	if err = failpoint.Hit(failpoint.BridgeJoin); err == nil {
		err = d.setPort(pair, nw)
	}
	if err == nil {
		err = failpoint.Hit(failpoint.BridgeJoin)
	}
	if err != nil {
		return networkdriver.Joined{}, errors.Join(err, d.deleteLink(ep.link))
	}
	j := networkdriver.Joined{InSandbox: true}
	if !nw.Internal {
		j.Gateway, j.GatewayIPv6 = nw.gateway4(), nw.gateway6()
	}
	return j, nil
}

// Settle waits until the bridge forwards for an endpoint. The kernel notices only later, from a
// queue, that both ends of a pair are up, and then that the bridge has a port; what is sent before is
// lost and sent again a second later. Asking for a link makes it look at once (rtnl_getlink since
// Linux 6.8); before that it takes a few milliseconds.
func (d *Driver) Settle(ctx context.Context, networkID, endpointID string) {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return
	}
	patience := time.Now().Add(250 * time.Millisecond)
	for _, name := range []string{ep.link, nw.name} {
		for ctx.Err() == nil && time.Now().Before(patience) {
			link, err := d.links.LinkByName(name)
			if err != nil || link.Attrs().OperState == netlink.OperUp {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// setPort sets what the bridge has to know of a port.
func (d *Driver) setPort(link netlink.Link, nw *network) error {
	// Where the kernel filters bridged packets too, the way of an endpoint to its own
	// published port leads back to the port it came from.
	if err := d.links.LinkSetHairpin(link, true); err != nil {
		return fmt.Errorf("port %s of %s: %w", link.Attrs().Name, nw.name, err)
	}
	if nw.icc {
		return nil
	}
	// Isolated ports do not see each other.
	if err := d.links.LinkSetIsolated(link, true); err != nil {
		return fmt.Errorf("isolate %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// grace is what the kernel gets to remove a pair together with its namespace.
const grace = time.Second

// Leave removes the pair. When the sandbox is going the kernel does it with the namespace,
// unless somebody else is in there: then it is done a little later.
func (d *Driver) Leave(_ context.Context, networkID, endpointID string, gone bool) error {
	_, ep, err := d.find(networkID, endpointID)
	if errors.Is(err, networkdriver.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if gone {
		time.AfterFunc(grace, func() { _ = d.deleteLink(ep.link) })
	} else if err := d.deleteLink(ep.link); err != nil {
		return err
	}
	return failpoint.Hit(failpoint.BridgeLeave)
}

// DeleteEndpoint withdraws its ports and forgets it.
func (d *Driver) DeleteEndpoint(_ context.Context, networkID, endpointID string) error {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil {
		return nil // it is absent
	}
	if err := d.table.Set(endpointID, nil); err != nil {
		return err
	}
	if err := d.unlink(nw, endpointID); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.BridgeForget); err != nil {
		return err
	}
	d.withdrawn(ep)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(nw.endpoints, endpointID)
	return nil
}

// Restore takes over everything with one transaction of the firewall.
func (d *Driver) Restore(_ context.Context, networks []networkdriver.Restored) error {
	failed := []error{d.table.AdoptShut()}
	owners := map[string][]firewall.Element{}
	for _, r := range networks {
		nw, err := d.prepare(r.Network)
		if err == nil {
			_, err = d.makeBridge(nw)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("network %s: %w", r.Network.Name, err))
			continue
		}
		owners[nw.ID] = nw.elements()
		for _, e := range r.Endpoints {
			ep := &endpoint{Endpoint: e.Endpoint, link: linkName(e.Endpoint.ID), ports: e.Ports, links: e.Links}
			nw.endpoints[ep.ID] = ep
			if list := d.portElements(nw, ep.Endpoint, ep.ports); len(list) > 0 {
				owners[ep.ID] = list
			}
		}
		linked := false
		for _, ep := range nw.endpoints {
			if list := nw.linked(ep); len(list) > 0 {
				owners[linksOf(ep.ID)], linked = list, true
			}
		}
		d.mu.Lock()
		d.networks[nw.ID] = nw
		nw.answers = !linked && !nw.given && !nw.icc // what a former process may have left
		d.mu.Unlock()
		failed = append(failed, d.answer(nw, linked), d.reattach(nw))
		if err := d.removeStrays(nw); err != nil {
			failed = append(failed, fmt.Errorf("network %s: %w", nw.Name, err))
		}
	}
	failed = append(failed, d.removeStrayBridges(networks))
	if len(owners) > 0 {
		if err := d.table.Replace(owners); err != nil {
			failed = append(failed, err)
		}
	} else {
		// The last network may have gone, and its engine been killed before the rules had.
		failed = append(failed, d.other.Clean(), d.table.DeleteStale())
	}
	d.admit()
	return errors.Join(failed...)
}

// removeStrayBridges removes bridges of ours that no network has any more, and that nobody is on: of a
// default network that was switched off, or of a record that is gone.
func (d *Driver) removeStrayBridges(networks []networkdriver.Restored) error {
	links, err := d.links.LinkList()
	if err != nil {
		return err
	}
	known, masters := map[string]bool{}, map[int]bool{}
	for _, r := range networks {
		if s, err := parse(r.Network); err == nil {
			known[s.name] = true
		}
	}
	for _, l := range links {
		masters[l.Attrs().MasterIndex] = true
	}
	for _, l := range links {
		if a := l.Attrs(); l.Type() == "bridge" && a.Alias == d.mark() && !known[a.Name] && !masters[a.Index] {
			err = errors.Join(err, d.deleteLink(a.Name))
		}
	}
	return err
}

// removeStrays ends pairs on a bridge of ours that no endpoint has: their engine was killed
// before it could.
func (d *Driver) removeStrays(nw *network) error {
	if nw.given {
		return nil
	}
	links, err := d.links.LinkList()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, ep := range nw.endpoints {
		known[ep.link] = true
	}
	for _, l := range links {
		if a := l.Attrs(); a.MasterIndex == nw.index && strings.HasPrefix(a.Name, "veth") && !known[a.Name] {
			err = errors.Join(err, d.deleteLink(a.Name))
		}
	}
	return err
}
