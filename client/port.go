package client

import (
	"fmt"
	"net"
	"net/netip"
	"sort"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// CmdPort prints where a container's ports are published.
func (Containers) CmdPort(c *Cmd, args ...string) error {
	c.Describe("port CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container", "container port")
	args, err := c.Parse(args, Between(1, 2))
	if err != nil {
		return err
	}
	var found container.InspectResponse
	if err := c.API().Get(c.Context(), "/containers/"+args[0]+"/json", nil, &found); err != nil {
		return err
	}
	var ports network.PortMap
	if found.NetworkSettings != nil {
		ports = found.NetworkSettings.Ports
	}
	if len(args) == 2 {
		want, err := network.ParsePort(args[1])
		if err != nil {
			return err
		}
		if len(ports[want]) == 0 {
			return fmt.Errorf("Error: No public port '%s' published for %s", args[1], args[0])
		}
		for _, b := range ports[want] {
			c.println(net.JoinHostPort(hostIP(b.HostIP), b.HostPort))
		}
		return nil
	}
	inside := make([]network.Port, 0, len(ports))
	for p := range ports {
		inside = append(inside, p)
	}
	sort.Slice(inside, func(i, j int) bool {
		if inside[i].Num() != inside[j].Num() {
			return inside[i].Num() < inside[j].Num()
		}
		return inside[i].Proto() < inside[j].Proto()
	})
	for _, p := range inside {
		for _, b := range ports[p] {
			c.println(p, "->", net.JoinHostPort(hostIP(b.HostIP), b.HostPort))
		}
	}
	return nil
}

func hostIP(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
