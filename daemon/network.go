package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/internal/strictjson"
)

// networking are the flags that concern networks.
type networking struct {
	builtins.NetworkConfig
	naming
	bip, fixed, fixed6, ip string
	pools                  addressPools
}

func (n *networking) flags(f *pflag.FlagSet) {
	f.StringVarP(&n.Bridge, "bridge", "b", "", `Attach containers to a bridge that exists; "none": to none (default: one that the engine makes, "`+builtins.DefaultBridge+`")`)
	f.StringVar(&n.bip, "bip", "", "Address of the default bridge, with the length of its subnet")
	f.StringVar(&n.fixed, "fixed-cidr", "", "IPv4 subnet for fixed addresses of the default bridge")
	f.StringVar(&n.fixed6, "fixed-cidr-v6", "", "IPv6 subnet of the default bridge")
	f.BoolVar(&n.IPv6, "ipv6", false, "Enable IPv6 on the default bridge")
	f.IntVar(&n.MTU, "mtu", 1500, "MTU of the default bridge")
	f.BoolVar(&n.ICC, "icc", true, "Enable communication between containers of the default bridge")
	f.BoolVar(&n.Masq, "ip-masq", true, "Give what leaves the default bridge the address of the host")
	f.BoolVar(&n.Forward, "ip-forward", true, "Switch on forwarding of packets in the host")
	f.StringVar(&n.ip, "ip", "0.0.0.0", "Address on which ports are published that name none")
	n.naming.flags(f)
	f.Var(&n.pools, "default-address-pool", "Address pools of networks, base=SUBNET,size=BITS")
}

// check parses what is text.
func (n *networking) check() error {
	n.GivenBridge = n.Bridge != "" && n.Bridge != builtins.DefaultBridge && n.Bridge != "none"
	var err error
	prefix := func(flag, text string, into *netip.Prefix) {
		if text != "" && err == nil {
			if *into, err = netip.ParsePrefix(text); err != nil {
				err = fmt.Errorf("%s: %q is not an address with the length of its subnet", flag, text)
			}
		}
	}
	prefix("bip", n.bip, &n.Address)
	prefix("fixed-cidr", n.fixed, &n.FixedRange)
	prefix("fixed-cidr-v6", n.fixed6, &n.FixedIPv6)
	if err != nil {
		return err
	}
	if n.BindIP, err = netip.ParseAddr(n.ip); err != nil {
		return fmt.Errorf("ip: %q is not an address", n.ip)
	}
	switch {
	case n.Bridge == "none" && n.bip != "":
		return errors.New("You specified -b & --bip, mutually exclusive options. Please specify only one.")
	case n.GivenBridge && n.bip != "":
		return errors.New("You specified -b & --bip, mutually exclusive options. Please specify only one.")
	case n.Address.IsValid() && (!n.Address.Addr().Is4() || n.Address.Addr() == n.Address.Masked().Addr()):
		return fmt.Errorf("bip: %s is not the address of a host in an IPv4 subnet", n.Address)
	case n.Address.IsValid() && n.FixedRange.IsValid() && (n.FixedRange.Bits() < n.Address.Bits() || !n.Address.Contains(n.FixedRange.Addr())):
		return fmt.Errorf("fixed-cidr: %s is not in the subnet of bip, %s", n.FixedRange, n.Address.Masked())
	case n.FixedIPv6.IsValid() && !n.FixedIPv6.Addr().Is6():
		return fmt.Errorf("fixed-cidr-v6: %s is not IPv6", n.FixedIPv6)
	case n.MTU < 0 || n.MTU > 65535:
		return fmt.Errorf("mtu: %d is not from 0 to 65535", n.MTU)
	}
	n.AddressPools = n.pools
	n.DNS, n.HostGateway, err = n.naming.check()
	return err
}

// addressPools is the value of --default-address-pool and of the key default-address-pools.
type addressPools []builtins.AddressPool

func (p *addressPools) Type() string { return "pool" }

func (p *addressPools) String() string {
	var all []string
	for _, one := range *p {
		all = append(all, fmt.Sprintf("base=%s,size=%d", one.Base, one.Size))
	}
	return strings.Join(all, " ")
}

// Set takes base=SUBNET,size=BITS.
func (p *addressPools) Set(text string) error {
	var base string
	size := -1
	for _, part := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "base":
			base = value
		case "size":
			var err error
			if size, err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("invalid size value: %q (must be integer)", value)
			}
		default:
			return fmt.Errorf("unexpected key '%s' in '%s'", key, part)
		}
	}
	return p.add(base, size)
}

func (p *addressPools) add(base string, size int) error {
	prefix, err := netip.ParsePrefix(base)
	if err != nil {
		return fmt.Errorf("invalid base pool %q: %w", base, err)
	}
	if size < prefix.Bits() || size > prefix.Addr().BitLen() {
		return fmt.Errorf("invalid size %d of subnets of the pool %s", size, prefix)
	}
	*p = append(*p, builtins.AddressPool{Base: prefix.Masked(), Size: size})
	return nil
}

// SetJSON takes the list of the configuration file.
func (p *addressPools) SetJSON(text []byte) error {
	if err := strictjson.Check(text, 0); err != nil {
		return err
	}
	var list []struct {
		Base string `json:"base"`
		Size int    `json:"size"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, one := range list {
		if err := p.add(one.Base, one.Size); err != nil {
			return err
		}
	}
	return nil
}
