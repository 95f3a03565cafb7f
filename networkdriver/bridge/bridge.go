package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge/firewall"
	"github.com/jobengine/engine/networkdriver/bridge/foreign"
)

// Driver makes bridge networks.
type Driver struct {
	cfg   networkdriver.Config
	table *firewall.Table
	other *foreign.Filters
	links *netlink.Handle
	stale *stale
	relay uint16 // where the engine's relay listens; 0: nowhere

	linking sync.Mutex // of links, so that the last one to change them is the last one to write them

	mu       sync.Mutex
	networks map[string]*network
}

type network struct {
	networkdriver.Network
	settings
	index     int  // of the bridge
	answers   bool // the host answers for those who are linked
	endpoints map[string]*endpoint
}

type endpoint struct {
	networkdriver.Endpoint
	link  string // the host's end of the pair
	ports []networkdriver.Port
	links []networkdriver.Link
}

// New opens the driver. It changes nothing on the host yet.
func New(cfg networkdriver.Config) (networkdriver.Driver, error) {
	if cfg.Instance == "" {
		cfg.Instance = "engine"
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	conntrack, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		links.Close()
		return nil, fmt.Errorf("nfnetlink: %w", err)
	}
	table, err := firewall.New(cfg.Instance)
	if err != nil {
		links.Close()
		conntrack.Close()
		return nil, err
	}
	d := &Driver{cfg: cfg, table: table, links: links, networks: map[string]*network{}}
	d.stale = &stale{conntrack: conntrack, failed: func(err error) {
		if cfg.Log != nil {
			cfg.Log.Debugf("bridge networks: connections of withdrawn ports: %v", err)
		}
	}}
	if d.other, err = foreign.New(foreign.Config{Own: cfg.Instance, Mark: firewall.Mark, Priority: firewall.ForwardPriority, Told: d.admitted}); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := table.Watch(d.healed); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the firewall: %w", err), d.Close())
	}
	return d, nil
}

// healed is told that somebody else has removed our rules.
func (d *Driver) healed(healed bool, err error) {
	switch {
	case d.cfg.Log == nil:
	case err != nil:
		d.cfg.Log.Errorf("bridge networks: the firewall table %s was changed by somebody else and could not be made again: %v", d.cfg.Instance, err)
	case healed:
		d.cfg.Log.Warnf("bridge networks: the firewall table %s was removed or changed by somebody else; it is whole again", d.cfg.Instance)
	}
}

// Close ends the driver's connections to the kernel.
func (d *Driver) Close() error {
	d.links.Close()
	d.stale.close()
	var err error
	if d.other != nil {
		err = d.other.Close()
	}
	return errors.Join(err, d.table.Close())
}

// Capabilities: users make such networks, with addresses.
func (d *Driver) Capabilities() networkdriver.Capabilities {
	return networkdriver.Capabilities{Addresses: true}
}

// CreateNetwork makes the bridge, or takes over the one that is there.
func (d *Driver) CreateNetwork(_ context.Context, n networkdriver.Network) error {
	nw, err := d.prepare(n)
	if err != nil {
		return err
	}
	made, err := d.makeBridge(nw)
	if err != nil {
		return err
	}
	if err = failpoint.Hit(failpoint.BridgeCreate); err == nil {
		err = d.table.Set(nw.ID, nw.elements())
	}
	if err == nil {
		err = failpoint.Hit(failpoint.BridgeCreate)
	}
	if err != nil {
		if made {
			err = errors.Join(err, d.removeBridge(nw), d.table.Set(nw.ID, nil))
		}
		return err
	}
	d.mu.Lock()
	d.networks[nw.ID] = nw
	d.mu.Unlock()
	d.admit()
	return nil
}

func (d *Driver) prepare(n networkdriver.Network) (*network, error) {
	s, err := parse(n)
	if err != nil {
		return nil, err
	}
	s.given = s.name == d.cfg.GivenBridge
	nw := &network{Network: n, settings: s, endpoints: map[string]*endpoint{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.networks {
		if other.ID == n.ID {
			nw.endpoints = other.endpoints
		} else if other.name == s.name {
			return nil, fmt.Errorf("bridge %s belongs to network %s: %w", s.name, other.Name, networkdriver.ErrInUse)
		}
	}
	return nw, nil
}

// makeBridge brings the interface into the state that the network wants.
func (d *Driver) makeBridge(nw *network) (made bool, err error) {
	link, err := d.links.LinkByName(nw.name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		if nw.given {
			return false, fmt.Errorf("bridge %s does not exist: %w", nw.name, networkdriver.ErrNotFound)
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = nw.name, nw.mtu
		if attrs.HardwareAddr = networkdriver.MAC(nw.gateway4()); attrs.HardwareAddr == nil {
			attrs.HardwareAddr = networkdriver.MAC(nw.gateway6())
		}
		if err = d.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
			return false, fmt.Errorf("make bridge %s: %w", nw.name, err)
		}
		made = err == nil
		link, err = d.links.LinkByName(nw.name)
	}
	if err != nil {
		return made, fmt.Errorf("bridge %s: %w", nw.name, err)
	}
	if link.Type() != "bridge" {
		return made, fmt.Errorf("interface %s is a %s and no bridge: %w", nw.name, link.Type(), networkdriver.ErrInUse)
	}
	nw.index = link.Attrs().Index
	if err = d.claim(nw, link, made); err == nil {
		err = d.configure(nw, link)
	}
	if err != nil {
		if made {
			err = errors.Join(err, d.links.LinkDel(link))
		}
		return false, err
	}
	return made, nil
}

// markOfUs begins the alias of each bridge that an engine has made; the rest says which one.
const markOfUs = "bridge of "

func (d *Driver) mark() string { return markOfUs + d.cfg.Instance }

// claim decides whose a bridge is that is there: ours by its mark, another engine's, or somebody
// else's. That is used as it is, and never removed.
func (d *Driver) claim(nw *network, link netlink.Link, made bool) error {
	alias := link.Attrs().Alias
	switch {
	case made:
		return d.markLink(link)
	case alias == d.mark():
		return nil
	case strings.HasPrefix(alias, markOfUs):
		return fmt.Errorf("interface %s is the %s, another engine: %w", nw.name, alias, networkdriver.ErrInUse)
	case nw.given:
		return nil
	}
	have, err := d.addresses(link)
	if err != nil {
		return err
	}
	if len(have) == 0 && link.Attrs().Flags&net.FlagUp == 0 {
		return d.markLink(link) // who made it was killed before it could say so
	}
	nw.given = true
	for want := range nw.bridgeAddresses() {
		if have[want] == nil {
			return fmt.Errorf("bridge %s is there already, and does not have the address %s: %w", nw.name, want, networkdriver.ErrInUse)
		}
	}
	return nil
}

func (d *Driver) markLink(link netlink.Link) error {
	if err := d.links.LinkSetAlias(link, d.mark()); err != nil {
		return fmt.Errorf("mark %s as ours: %w", link.Attrs().Name, err)
	}
	return nil
}

func (d *Driver) addresses(link netlink.Link) (map[netip.Prefix]*netlink.Addr, error) {
	list, err := d.links.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	have := map[netip.Prefix]*netlink.Addr{}
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		have[netip.PrefixFrom(ip.Unmap(), ones)] = &a
	}
	return have, nil
}

func (d *Driver) configure(nw *network, link netlink.Link) error {
	if d.cfg.IPForward && !nw.Internal {
		if err := d.stayNoRouter(nw.EnableIPv6); err != nil {
			return err
		}
	}
	for _, s := range nw.sysctls(d.cfg.IPForward) {
		if err := writeSysctl(s[0], s[1]); err != nil && s[2] == "" {
			return err
		}
	}
	if nw.given {
		return d.links.LinkSetUp(link)
	}
	have, err := d.addresses(link)
	if err != nil {
		return err
	}
	want := nw.bridgeAddresses()
	for p, a := range have {
		if !want[p] && !p.Addr().IsLinkLocalUnicast() {
			if err := d.links.AddrDel(link, a); err != nil {
				return fmt.Errorf("remove address %s from %s: %w", p, nw.name, err)
			}
		} else {
			delete(want, p)
		}
	}
	for p := range want {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := d.links.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("address %s for %s: %w", p, nw.name, err)
		}
	}
	if nw.mtu > 0 && link.Attrs().MTU != nw.mtu {
		if err := d.links.LinkSetMTU(link, nw.mtu); err != nil {
			return fmt.Errorf("MTU of %s: %w", nw.name, err)
		}
	}
	if err := d.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch on %s: %w", nw.name, err)
	}
	return nil
}

func (nw *network) gateway4() netip.Addr { return gateway(nw.IPv4) }
func (nw *network) gateway6() netip.Addr { return gateway(nw.IPv6) }

func gateway(subnets []networkdriver.Subnet) netip.Addr {
	for _, s := range subnets {
		if s.Gateway.IsValid() {
			return s.Gateway
		}
	}
	return netip.Addr{}
}

func (nw *network) bridgeAddresses() map[netip.Prefix]bool {
	want := map[netip.Prefix]bool{}
	for _, s := range append(nw.IPv4[:len(nw.IPv4):len(nw.IPv4)], nw.IPv6...) {
		if s.Gateway.IsValid() && !(nw.inhibitV4 && s.Gateway.Is4()) && nw.mode(s.Gateway.Is6()) != modeIsolated {
			want[netip.PrefixFrom(s.Gateway, s.Pool.Bits())] = true
		}
	}
	return want
}

// sysctls are path, value, and a reason why failing does not matter.
func (nw *network) sysctls(forward bool) [][3]string {
	v4, v6 := "net/ipv4/conf/"+nw.name+"/", "net/ipv6/conf/"+nw.name+"/"
	disabled := "1"
	if nw.EnableIPv6 {
		disabled = "0"
	}
	const noIPv6 = "the kernel may be without IPv6"
	var list [][3]string
	if !nw.given { // else the host may have IPv6 there, and a router
		list = append(list, [3]string{v6 + "disable_ipv6", disabled, noIPv6},
			[3]string{v6 + "accept_ra", "0", noIPv6}) // what containers announce is not for the host
	}
	if !nw.Internal && nw.EnableIPv4 {
		list = append(list, [3]string{v4 + "route_localnet", "1"})
	}
	if nw.answers {
		list = append(list, nw.answering(true)...)
	}
	if forward && !nw.Internal {
		list = append(list, [3]string{"net/ipv4/ip_forward", "1"})
		if nw.EnableIPv6 {
			list = append(list, [3]string{"net/ipv6/conf/default/forwarding", "1", noIPv6}, [3]string{"net/ipv6/conf/all/forwarding", "1", noIPv6})
		}
	}
	return list
}

func writeSysctl(name, value string) error {
	path := filepath.Join("/proc/sys", name)
	if have, err := os.ReadFile(path); err == nil && string(have) == value+"\n" {
		return nil // it may be set and not writable, as in a container
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("setting of the kernel: %w", err)
	}
	return nil
}

// elements are what the network itself needs of the firewall.
func (nw *network) elements() []firewall.Element {
	list := firewall.Bridge(nw.name, !nw.icc)
	if nw.Internal {
		list = append(list, firewall.Internal(nw.name))
	}
	for _, s := range append(nw.IPv4[:len(nw.IPv4):len(nw.IPv4)], nw.IPv6...) {
		list = append(list, firewall.Hairpin(nw.name, s.Pool))
		mode := nw.mode(s.Pool.Addr().Is6())
		switch {
		case nw.Internal:
			list = append(list, firewall.Guarded(s.Pool))
			continue
		case mode == modeRouted:
			list = append(list, firewall.OpenToPings(s.Pool))
			continue
		case len(nw.trusted) > 0 && mode == modeNAT:
			for _, name := range nw.trusted {
				list = append(list, firewall.Trusted(name, s.Pool))
			}
			if nw.masq {
				list = append(list, firewall.Guarded(s.Pool))
			}
		case mode == modeUnprotected:
			list = append(list, firewall.OpenToAll(s.Pool))
		case nw.masq: // else what comes back to its own addresses would be dropped
			list = append(list, firewall.Guarded(s.Pool))
		}
		if nw.masq {
			list = append(list, firewall.Masquerade(s.Pool))
		}
	}
	return list
}

// DeleteNetwork removes the bridge and the network's rules.
func (d *Driver) DeleteNetwork(_ context.Context, id string) error {
	d.mu.Lock()
	nw := d.networks[id]
	d.mu.Unlock()
	if nw == nil {
		return nil
	}
	if err := d.removeBridge(nw); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.BridgeDelete); err != nil {
		return err
	}
	if err := d.table.Set(id, nil); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.networks, id)
	d.mu.Unlock()
	d.admit()
	return nil
}

func (d *Driver) removeBridge(nw *network) error {
	if nw.given {
		return nil
	}
	return d.deleteLink(nw.name)
}

func (d *Driver) deleteLink(name string) error {
	link, err := d.links.LinkByName(name)
	if err == nil {
		err = d.links.LinkDel(link)
	}
	if err == nil || errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove %s: %w", name, err)
}

func (d *Driver) find(networkID, endpointID string) (*network, *endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return networkdriver.Find(d.networks, func(nw *network) map[string]*endpoint { return nw.endpoints }, networkID, endpointID)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
