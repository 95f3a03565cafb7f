package networks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networks/ipam"
)

// DefaultDriver is the driver of the network "bridge", which containers have that name none.
const DefaultDriver = "bridge"

// ErrNoDefault: the network "bridge" is wanted and can not be had.
var ErrNoDefault = errors.New(`network "bridge"`)

const optBridgeName = "com.docker.network.bridge.name"

// defaultBridge describes the network "bridge": with the subnet that its interface has, or else
// that it had, if that is still free and the flags do not say otherwise.
func (n *Networks) defaultBridge(id string, was *Network) (*record, error) {
	d := n.cfg.Default
	r := &record{
		Format: format, ID: id, Name: "bridge", Driver: DefaultDriver, Created: n.cfg.Created.UTC(),
		EnableIPv4: true, EnableIPv6: d.EnableIPv6,
		Options: map[string]string{
			"com.docker.network.bridge.default_bridge":       "true",
			"com.docker.network.bridge.enable_icc":           strconv.FormatBool(d.ICC),
			"com.docker.network.bridge.enable_ip_masquerade": strconv.FormatBool(d.Masq),
			"com.docker.network.bridge.host_binding_ipv4":    n.cfg.BindIP.String(),
			optBridgeName:                   d.Bridge,
			"com.docker.network.driver.mtu": strconv.Itoa(d.MTU),
		},
	}
	var taken []netip.Prefix
	for _, nw := range n.byID {
		for _, s := range nw.Subnets {
			if nw.ID != id && !nw.ConfigOnly {
				taken = append(taken, s.Subnet)
			}
		}
	}
	own := rangesOf(d.Bridge)
	taken = append(taken, slices.DeleteFunc(hostRanges(), func(p netip.Prefix) bool { return slices.Contains(own, p) })...)
	v4, err := n.defaultIPv4(was, taken)
	if err != nil {
		return nil, err
	}
	r.Subnets = append(r.Subnets, v4)
	if d.EnableIPv6 {
		v6, err := n.defaultIPv6(was, taken)
		if err != nil {
			return nil, err
		}
		r.Subnets = append(r.Subnets, v6)
	}
	return r, nil
}

func (n *Networks) defaultIPv4(was *Network, taken []netip.Prefix) (subnet, error) {
	d := n.cfg.Default
	s := subnet{Range: d.FixedRange}
	has := addressOf(d.Bridge, d.FixedRange, false)
	if _, err := netlink.LinkByName(d.Bridge); d.Given && errors.As(err, new(netlink.LinkNotFoundError)) {
		return s, errs.Invalid("bridge %s does not exist: ip link add %s type bridge", d.Bridge, d.Bridge)
	}
	if d.Given && !has.IsValid() {
		return s, errs.Invalid("bridge %s has no IPv4 address, which its containers need as their gateway: ip addr add ADDRESS/BITS dev %s", d.Bridge, d.Bridge)
	}
	switch {
	case d.Address.IsValid():
		s.Subnet, s.Gateway = d.Address.Masked(), d.Address.Addr()
	case has.IsValid() && (d.Given || was != nil && len(was.Subnets) > 0 && was.Subnets[0].Subnet == has.Masked()):
		s.Subnet, s.Gateway = has.Masked(), has.Addr()
	case was != nil && len(was.Subnets) > 0 && !overlapsAny(was.Subnets[0].Subnet, taken) && within(d.FixedRange, was.Subnets[0].Subnet):
		s.Subnet, s.Gateway = was.Subnets[0].Subnet, was.Subnets[0].Gateway
	case d.FixedRange.IsValid():
		s.Subnet, s.Gateway = d.FixedRange.Masked(), d.FixedRange.Masked().Addr().Next()
	default:
		p, err := ipam.Choose(n.cfg.Pools, false, taken)
		if err != nil {
			return s, err
		}
		s.Subnet, s.Gateway = p, p.Addr().Next()
	}
	if !within(d.FixedRange, s.Subnet) {
		return s, errs.Invalid("fixed-cidr: %s is not in the subnet of the default bridge, %s", d.FixedRange, s.Subnet)
	}
	return s, nil
}

func (n *Networks) defaultIPv6(was *Network, taken []netip.Prefix) (subnet, error) {
	d := n.cfg.Default
	p := d.FixedIPv6
	if has := addressOf(d.Bridge, p, true); d.Given && has.IsValid() {
		return subnet{Subnet: has.Masked(), Gateway: has.Addr(), Range: p}, nil
	}
	if !p.IsValid() && was != nil && len(was.Subnets) > 1 {
		p = was.Subnets[1].Subnet
	}
	if !p.IsValid() {
		var err error
		if p, err = n.uniqueLocal(taken); err != nil {
			return subnet{}, err
		}
	}
	return subnet{Subnet: p.Masked(), Gateway: p.Masked().Addr().Next()}, nil
}

// within tells whether a range, if there is one, is a part of a subnet.
func within(p, subnet netip.Prefix) bool {
	return !p.IsValid() || p.Bits() >= subnet.Bits() && subnet.Contains(p.Addr())
}

func overlapsAny(p netip.Prefix, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, p.Overlaps)
}

// addressOf gives the address of an interface, with the length of its subnet: the one whose subnet has a
// range in it, if there is one, else the first.
func addressOf(name string, holds netip.Prefix, v6 bool) (found netip.Prefix) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return found
	}
	family := netlink.FAMILY_V4
	if v6 {
		family = netlink.FAMILY_V6
	}
	list, _ := netlink.AddrList(link, family)
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		p := netip.PrefixFrom(ip.Unmap(), bits)
		if !ok || ip.IsLinkLocalUnicast() {
			continue
		}
		if !found.IsValid() || holds.IsValid() && !within(holds, found.Masked()) && within(holds, p.Masked()) {
			found = p
		}
	}
	return found
}

// defaultIsThere tells why the default network could not be made, if it could not.
func (n *Networks) defaultIsThere(ctx context.Context) error {
	nw := n.byID[n.predefinedID("bridge")]
	if nw == nil {
		return nil
	}
	if err := n.cfg.Drivers[DefaultDriver].CreateNetwork(ctx, nw.forDriver()); err != nil {
		return fmt.Errorf("%w: %w", ErrNoDefault, err)
	}
	return nil
}
