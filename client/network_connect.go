package client

import (
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/network"
)

// CmdNetworkConnect puts a container on a network.
func (Networks) CmdNetworkConnect(c *Cmd, args ...string) error {
	c.Describe("network connect [OPTIONS] NETWORK CONTAINER", "Connect a container to a network")
	f := c.Flags()
	var ip, ip6 string
	var aliases, links, linkLocal, options []string
	f.StringVar(&ip, "ip", "", `IPv4 address (e.g., "172.30.100.104")`)
	f.StringVar(&ip6, "ip6", "", `IPv6 address (e.g., "2001:db8::33")`)
	f.StringSliceVar(&aliases, "alias", nil, "Add network-scoped alias for the container")
	f.StringSliceVar(&links, "link", nil, "Add link to another container")
	f.StringSliceVar(&linkLocal, "link-local-ip", nil, "Add a link-local address for the container")
	f.StringArrayVar(&options, "driver-opt", nil, "driver options for the network")
	priority := f.Int("gw-priority", 0, "Highest gw-priority provides the default gateway. Accepts positive and negative values.")
	args, err := c.Parse(args, Exactly(2))
	if err != nil {
		return err
	}
	ep := &network.EndpointSettings{
		IPAMConfig: &network.EndpointIPAMConfig{}, Aliases: aliases, Links: links, DriverOpts: pairs(options), GwPriority: *priority,
	}
	for _, a := range []struct {
		flag, text string
		into       *netip.Addr
	}{{"ip", ip, &ep.IPAMConfig.IPv4Address}, {"ip6", ip6, &ep.IPAMConfig.IPv6Address}} {
		if a.text == "" {
			continue
		}
		if *a.into, err = netip.ParseAddr(a.text); err != nil {
			return fmt.Errorf("invalid value for --%s: %w", a.flag, err)
		}
	}
	for _, text := range linkLocal {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("invalid value for --link-local-ip: %w", err)
		}
		ep.IPAMConfig.LinkLocalIPs = append(ep.IPAMConfig.LinkLocalIPs, a)
	}
	body := network.ConnectRequest{Container: args[1], EndpointConfig: ep}
	return c.API().Post(c.Context(), "/networks/"+args[0]+"/connect", nil, body, nil)
}

// CmdNetworkDisconnect takes a container from a network.
func (Networks) CmdNetworkDisconnect(c *Cmd, args ...string) error {
	c.Describe("network disconnect [OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network")
	force := c.Flags().BoolP("force", "f", false, "Force the container to disconnect from a network")
	args, err := c.Parse(args, Exactly(2))
	if err != nil {
		return err
	}
	body := network.DisconnectRequest{Container: args[1], Force: *force}
	return c.API().Post(c.Context(), "/networks/"+args[0]+"/disconnect", nil, body, nil)
}
