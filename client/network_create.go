package client

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/network"
)

// CmdNetworkCreate makes a network.
func (Networks) CmdNetworkCreate(c *Cmd, args ...string) error {
	c.Describe("network create [OPTIONS] NETWORK", "Create a network")
	f := c.Flags()
	in := network.CreateRequest{Options: map[string]string{}, Labels: map[string]string{}}
	var subnets, ranges, gateways []string
	var ipamDriver, from string
	auxiliary, options, ipamOptions, labels := []string{}, []string{}, []string{}, []string{}
	v4 := f.Bool("ipv4", true, "Enable or disable IPv4 address assignment")
	v6 := f.Bool("ipv6", false, "Enable or disable IPv6 address assignment")
	f.StringVarP(&in.Driver, "driver", "d", "bridge", "Driver to manage the Network")
	f.StringVar(&in.Scope, "scope", "", "Control the network's scope")
	f.BoolVar(&in.Internal, "internal", false, "Restrict external access to the network")
	f.BoolVar(&in.Attachable, "attachable", false, "Enable manual container attachment")
	f.BoolVar(&in.Ingress, "ingress", false, "Create swarm routing-mesh network")
	f.BoolVar(&in.ConfigOnly, "config-only", false, "Create a configuration only network")
	f.StringVar(&from, "config-from", "", "The network from which to copy the configuration")
	f.StringVar(&ipamDriver, "ipam-driver", "default", "IP Address Management Driver")
	f.StringArrayVarP(&options, "opt", "o", nil, "Set driver specific options")
	f.StringArrayVar(&ipamOptions, "ipam-opt", nil, "Set IPAM driver specific options")
	f.StringArrayVar(&labels, "label", nil, "Set metadata on a network")
	f.StringSliceVar(&subnets, "subnet", nil, "Subnet in CIDR format that represents a network segment")
	f.StringSliceVar(&ranges, "ip-range", nil, "Allocate container ip from a sub-range")
	f.StringSliceVar(&gateways, "gateway", nil, "IPv4 or IPv6 Gateway for the master subnet")
	f.StringArrayVar(&auxiliary, "aux-address", nil, "Auxiliary IPv4 or IPv6 addresses used by Network driver")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	in.Name = args[0]
	if f.Changed("ipv4") {
		in.EnableIPv4 = v4
	}
	if f.Changed("ipv6") {
		in.EnableIPv6 = v6
	}
	if from != "" {
		in.ConfigFrom = &network.ConfigReference{Network: from}
	}
	in.Options, in.Labels = pairs(options), pairs(labels)
	in.IPAM = &network.IPAM{Driver: ipamDriver, Options: pairs(ipamOptions)}
	if in.IPAM.Config, err = ipamConfig(subnets, ranges, gateways, pairs(auxiliary)); err != nil {
		return err
	}
	var out network.CreateResponse
	if err := c.API().Post(c.Context(), "/networks/create", nil, in, &out); err != nil {
		return err
	}
	if out.Warning != "" {
		fmt.Fprintln(c.Err, "WARNING: "+out.Warning)
	}
	c.println(out.ID)
	return nil
}

func pairs(list []string) map[string]string {
	m := map[string]string{}
	for _, text := range list {
		key, value, _ := strings.Cut(text, "=")
		m[key] = value
	}
	return m
}

// ipamConfig puts ranges, gateways and further addresses with the subnets that they are in.
func ipamConfig(subnets, ranges, gateways []string, auxiliary map[string]string) ([]network.IPAMConfig, error) {
	if len(subnets) < len(ranges) || len(subnets) < len(gateways) {
		return nil, errors.New("every ip-range or gateway must have a corresponding subnet")
	}
	list := []network.IPAMConfig{}
	for _, text := range subnets {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("invalid subnet %s: %w", text, err)
		}
		for _, other := range list {
			if other.Subnet.Overlaps(p) {
				return nil, errors.New("multiple overlapping subnet configuration is not supported")
			}
		}
		list = append(list, network.IPAMConfig{Subnet: p})
	}
	subnetOf := func(a netip.Addr) *network.IPAMConfig {
		for i := range list {
			if list[i].Subnet.Contains(a) {
				return &list[i]
			}
		}
		return nil
	}
	for _, text := range ranges {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("invalid ip-range %s: %w", text, err)
		}
		s := subnetOf(p.Addr())
		switch {
		case s == nil:
			return nil, fmt.Errorf("no matching subnet for range %s", text)
		case s.IPRange.IsValid():
			return nil, fmt.Errorf("cannot configure multiple ranges (%s, %s) on the same subnet (%s)", text, s.IPRange, s.Subnet)
		}
		s.IPRange = p
	}
	for _, text := range gateways {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("invalid gateway %s: %w", text, err)
		}
		s := subnetOf(a)
		switch {
		case s == nil:
			return nil, fmt.Errorf("no matching subnet for gateway %s", text)
		case s.Gateway.IsValid():
			return nil, fmt.Errorf("cannot configure multiple gateways (%s, %s) for the same subnet (%s)", text, s.Gateway, s.Subnet)
		}
		s.Gateway = a
	}
	for name, text := range auxiliary {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("invalid aux-address %s=%s: %w", name, text, err)
		}
		s := subnetOf(a)
		if s == nil {
			return nil, fmt.Errorf("no matching subnet for aux-address %s", text)
		}
		if s.AuxAddress == nil {
			s.AuxAddress = map[string]netip.Addr{}
		}
		s.AuxAddress[name] = a
	}
	return list, nil
}
