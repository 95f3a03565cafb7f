package networks

import (
	"bufio"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
)

// hostRanges are the addresses that the host reaches already: those it has routes to, and its
// resolvers. A network on top of them would hide them.
func hostRanges() []netip.Prefix {
	var taken []netip.Prefix
	routes, _ := netlink.RouteList(nil, netlink.FAMILY_ALL)
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(r.Dst.IP)
		if bits, _ := r.Dst.Mask.Size(); ok && bits > 0 && !ip.IsLinkLocalUnicast() {
			taken = append(taken, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	for _, a := range hostResolvers() {
		taken = append(taken, netip.PrefixFrom(a, a.BitLen()))
	}
	return taken
}

func hostResolvers() []netip.Addr {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	defer f.Close()
	var list []netip.Addr
	for lines := bufio.NewScanner(f); lines.Scan() && len(list) < 16; {
		words := strings.Fields(lines.Text())
		if len(words) > 1 && words[0] == "nameserver" {
			if a, err := netip.ParseAddr(words[1]); err == nil {
				list = append(list, a.WithZone(""))
			}
		}
	}
	return list
}

// rangesOf are the routes of one interface.
func rangesOf(name string) []netip.Prefix {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil
	}
	routes, _ := netlink.RouteList(link, netlink.FAMILY_ALL)
	var list []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if ip, ok := netip.AddrFromSlice(r.Dst.IP); ok {
			bits, _ := r.Dst.Mask.Size()
			list = append(list, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return list
}
