package request

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
)

// CheckNetwork checks what is to be published. Whether a network is there is told at the start.
func CheckNetwork(hc *container.HostConfig) error {
	for port, bindings := range hc.PortBindings {
		if p := port.Proto(); len(bindings) > 0 && p != network.TCP && p != network.UDP {
			return errs.NotImplemented("port %s can not be published: this version publishes tcp and udp", port)
		}
		for _, b := range bindings {
			if _, _, err := hostPorts(b.HostPort); err != nil {
				return err
			}
		}
	}
	return nil
}

// hostPorts parses a port of the host, a range to choose from, or nothing.
func hostPorts(text string) (first, last uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	if first, err = strconv.ParseUint(from, 10, 16); err == nil {
		last, err = strconv.ParseUint(to, 10, 16)
	}
	if err != nil || last < first {
		return 0, 0, errs.Invalid("invalid port specification: %q", text)
	}
	return first, last, nil
}

// Endpoints checks how a container wants to be connected, and gives it a copy, with the
// network of its mode among them.
func Endpoints(n *network.NetworkingConfig, hc *container.HostConfig) (map[string]*network.EndpointSettings, error) {
	mode := hc.NetworkMode
	all := map[string]*network.EndpointSettings{}
	if n != nil {
		for name, e := range n.EndpointsConfig {
			if e == nil {
				e = &network.EndpointSettings{}
			}
			if err := checkAddresses(e.IPAMConfig); err != nil {
				return nil, err
			}
			all[name] = configured(e)
		}
	}
	if mode.IsContainer() {
		if len(all) > 0 {
			return nil, errs.Invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		}
		return nil, nil
	}
	first := cmp.Or(string(mode), network.NetworkDefault)
	if all[first] == nil && !(len(all) == 1 && first == network.NetworkDefault) {
		all[first] = &network.EndpointSettings{}
	}
	if len(all) > 1 {
		for name := range all {
			if name == network.NetworkHost || name == network.NetworkNone {
				return nil, errs.Invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
			}
		}
	}
	return all, nil
}

// checkAddresses: whether the network has them is told when it is connected.
func checkAddresses(c *network.EndpointIPAMConfig) error {
	if c == nil {
		return nil
	}
	if a := c.IPv4Address; a.IsValid() && (!a.Unmap().Is4() || a.IsUnspecified()) {
		return errs.Invalid("invalid endpoint settings:\ninvalid IPv4 address: %s", a)
	}
	if a := c.IPv6Address; a.IsValid() && (a.Unmap().Is4() || a.IsUnspecified() || a.Zone() != "") {
		return errs.Invalid("invalid endpoint settings:\ninvalid IPv6 address: %s", a)
	}
	for _, a := range c.LinkLocalIPs {
		if !a.IsValid() || a.IsUnspecified() {
			return errs.Invalid("invalid endpoint settings:\ninvalid link-local IP address: %s", a)
		}
	}
	return nil
}

// configured is the part of an endpoint's settings that users say.
func configured(e *network.EndpointSettings) *network.EndpointSettings {
	c := e.Copy()
	return &network.EndpointSettings{
		IPAMConfig: c.IPAMConfig, Links: c.Links, Aliases: c.Aliases, DriverOpts: c.DriverOpts, GwPriority: c.GwPriority, MacAddress: c.MacAddress,
	}
}

// checkExtraHosts checks "name:address".
func checkExtraHosts(list []string) error {
	for _, h := range list {
		name, addr, ok := CutExtraHost(h)
		if !ok || name == "" {
			return errs.Invalid("bad format for add-host: %q", h)
		}
		if err := checkHostname("add-host", name, 253); err != nil || strings.ContainsAny(name, " #") {
			return errs.Invalid("bad format for add-host: %q", h)
		}
		if addr == "host-gateway" {
			continue // known at the start
		}
		if _, err := netip.ParseAddr(addr); err != nil {
			return errs.Invalid("invalid IP address in add-host: %q", addr)
		}
	}
	return nil
}

// CutExtraHost cuts name:address or name=address; the address may be IPv6 in brackets or not.
func CutExtraHost(text string) (name, addr string, ok bool) {
	i := strings.IndexAny(text, ":=")
	if i < 0 {
		return "", "", false
	}
	addr = text[i+1:]
	if len(addr) > 2 && addr[0] == '[' && addr[len(addr)-1] == ']' {
		addr = addr[1 : len(addr)-1]
	}
	return text[:i], addr, addr != ""
}

// checkDNS refuses what could make lines of its own in /etc/resolv.conf.
func checkDNS(hc *container.HostConfig) error {
	for _, a := range hc.DNS {
		if !a.IsValid() {
			return errs.Invalid("invalid DNS server: not an IP address")
		}
	}
	for what, list := range map[string][]string{"DNS search domain": hc.DNSSearch, "DNS option": hc.DNSOptions} {
		for _, text := range list {
			for _, r := range text {
				if r <= ' ' || r == 0x7f || r == '#' || r == ';' && what != "DNS option" {
					return errs.Invalid("invalid %s: %q", what, text)
				}
			}
		}
	}
	return nil
}
