// Package sandbox configures the inside of a network namespace: names, addresses,
// routes and settings of the interfaces that drivers put there.
package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interface is what is known of one interface of a sandbox.
type Interface struct {
	Name        string // inside: eth0
	From        string // the interface of the host that is moved inside; "" if it is there already
	MAC         net.HardwareAddr
	Address     netip.Prefix // invalid if none
	AddressIPv6 netip.Prefix
	LinkLocal   []netip.Prefix // further addresses
	Gateway     netip.Addr     // of the default route; invalid if none
	GatewayIPv6 netip.Addr
	Routes      []Route
	Sysctls     map[string]string // of this interface: net/ipv4/conf/IFNAME/…, with IFNAME as it stands
}

// Route is a further route: by a gateway, or on the link if NextHop is invalid.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// Do runs f on a thread that is in the namespace of a file such as /proc/PID/ns/net.
// f must not start goroutines that are to be in there too.
func Do(path string, f func() error) error {
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer unix.Close(ns)
	return DoFD(ns, f)
}

// DoFD is Do for a namespace that is open.
func DoFD(ns int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer unix.Close(own)
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = f()
		if unix.Setns(own, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
		done <- err
	}()
	return <-done
}

// Connect configures interfaces in the namespace of a file. The first error ends it.
func Connect(path string, interfaces ...Interface) error {
	for _, i := range interfaces {
		if i.From != "" {
			if err := move(path, i.From); err != nil {
				return err
			}
		}
	}
	return Do(path, func() error {
		links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer links.Close()
		for _, i := range interfaces {
			if err := i.configure(links); err != nil {
				return fmt.Errorf("interface %s: %w", i.Name, err)
			}
		}
		return nil
	})
}

func move(path, name string) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetNsFd(link, int(ns.Fd()))
	}
	if err != nil {
		return fmt.Errorf("move %s into the sandbox: %w", name, err)
	}
	return nil
}

func (i Interface) configure(links *netlink.Handle) error {
	name := i.Name
	if i.From != "" {
		name = i.From
	}
	link, err := links.LinkByName(name)
	if err != nil {
		return err
	}
	if i.From != "" && i.From != i.Name {
		if err := links.LinkSetName(link, i.Name); err != nil {
			return err
		}
	}
	if i.MAC != nil && link.Attrs().HardwareAddr.String() != i.MAC.String() {
		if err := links.LinkSetHardwareAddr(link, i.MAC); err != nil {
			return err
		}
	}
	if err := i.settings(); err != nil {
		return err
	}
	for _, p := range append([]netip.Prefix{i.Address, i.AddressIPv6}, i.LinkLocal...) {
		if !p.IsValid() {
			continue
		}
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := links.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("address %s: %w", p, err)
		}
	}
	if err := links.LinkSetUp(link); err != nil {
		return err
	}
	for _, r := range i.Routes {
		if err := addRoute(links, link, r); err != nil {
			return err
		}
	}
	return i.defaults(links, link)
}

// defaults adds the default routes.
func (i Interface) defaults(links *netlink.Handle, link netlink.Link) error {
	for gw, all := range map[netip.Addr]netip.Prefix{
		i.Gateway: netip.PrefixFrom(netip.IPv4Unspecified(), 0), i.GatewayIPv6: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	} {
		if !gw.IsValid() {
			continue
		}
		if err := addRoute(links, link, Route{Destination: all, NextHop: gw}); err != nil {
			return err
		}
	}
	return nil
}

func addRoute(links *netlink.Handle, link netlink.Link, r Route) error {
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r.Destination), Scope: netlink.SCOPE_LINK}
	if r.NextHop.IsValid() {
		route.Gw, route.Scope = r.NextHop.AsSlice(), netlink.SCOPE_UNIVERSE
	}
	if err := links.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", r.Destination, err)
	}
	return nil
}

// settings switches IPv6 off where the network has none, and router advertisements
// where it has: the engine says where the gateway is.
func (i Interface) settings() error {
	v6 := "/proc/sys/net/ipv6/conf/" + i.Name + "/"
	write := func(path, value string) error {
		err := os.WriteFile(path, []byte(value), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil // a kernel without IPv6
		}
		return err
	}
	disabled := "1"
	if i.AddressIPv6.IsValid() {
		disabled = "0"
	}
	if err := write(v6+"disable_ipv6", disabled); err != nil {
		return err
	}
	if i.AddressIPv6.IsValid() {
		if err := write(v6+"accept_ra", "0"); err != nil {
			return err
		}
	}
	for name, value := range i.Sysctls {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// A Hop is where a default route goes.
type Hop struct {
	Interface string // "" if there is no such route
	Gateway   netip.Addr
}

// SetDefaults replaces the default routes of a namespace. Of the hops of a family the first one counts
// whose interface is there: somebody may have taken one away.
func SetDefaults(path string, hops ...Hop) error {
	return Do(path, func() error {
		links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer links.Close()
		routes, err := links.RouteList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if ones, _ := mask(r.Dst); ones == 0 && r.Gw != nil {
				if err := links.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
					return err
				}
			}
		}
		done := map[bool]bool{} // by family
		for _, h := range hops {
			v6 := h.Gateway.Is6()
			if h.Interface == "" || !h.Gateway.IsValid() || done[v6] {
				continue
			}
			link, err := links.LinkByName(h.Interface)
			if errors.As(err, new(netlink.LinkNotFoundError)) {
				continue
			}
			if err != nil {
				return err
			}
			all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if v6 {
				all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			if err := addRoute(links, link, Route{Destination: all, NextHop: h.Gateway}); err != nil {
				return err
			}
			done[v6] = true
		}
		return nil
	})
}

func mask(n *net.IPNet) (int, int) {
	if n == nil {
		return 0, 0
	}
	return n.Mask.Size()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
