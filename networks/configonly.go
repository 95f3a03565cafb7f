package networks

import (
	"slices"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
)

// A configuration-only network is a record without a network: subnets, options and labels for others to be
// made from. It takes no subnet, has no driver and no endpoints, and stays as long as a network depends on it.

// configured checks what a request says of configurations, and fills in what it takes from one.
func (n *Networks) configured(in network.CreateRequest) (network.CreateRequest, error) {
	from := ""
	if in.ConfigFrom != nil {
		from = in.ConfigFrom.Network
	}
	switch {
	case in.ConfigOnly && (in.Ingress || in.Internal || in.Attachable || in.Scope != ""):
		return in, errs.Forbidden("configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.")
	case in.ConfigOnly && from != "":
		return in, errs.Forbidden("a configuration network cannot depend on another configuration network")
	case from == "":
		return in, nil
	case len(in.Labels) > 0, in.EnableIPv6 != nil && *in.EnableIPv6,
		in.IPAM != nil && (len(in.IPAM.Config) > 0 || len(in.IPAM.Options) > 0 || in.IPAM.Driver != "" && in.IPAM.Driver != "default"):
		return in, errs.Forbidden("user specified configurations are not supported if the network depends on a configuration network")
	case len(in.Options) > 0:
		return in, errs.Forbidden("network driver options are not supported if the network depends on a configuration network")
	}
	c, err := n.configuration(from)
	if err != nil {
		return in, err
	}
	has := c.api()
	in.Options, in.Labels, in.EnableIPv4, in.EnableIPv6 = c.Options, c.Labels, &c.EnableIPv4, &c.EnableIPv6
	in.IPAM = &network.IPAM{Driver: c.IPAMDriver, Options: c.IPAMOptions, Config: slices.Clone(has.IPAM.Config)}
	return in, nil
}

// configuration finds one by its name.
func (n *Networks) configuration(name string) (*Network, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.configurationLocked(name)
}

func (n *Networks) configurationLocked(name string) (*Network, error) {
	for _, nw := range n.byID {
		if nw.Name == name && nw.ConfigOnly && !nw.making && !nw.removing {
			return nw, nil
		}
	}
	return nil, errs.NotFound("configuration network %q does not exist", name)
}

// keepSubnets puts what was asked into the record of a configuration, as it is.
func (r *record) keepSubnets(asked *network.IPAM) {
	if asked == nil {
		return
	}
	for _, c := range asked.Config {
		if c.Subnet.IsValid() {
			r.Subnets = append(r.Subnets, subnet{Subnet: c.Subnet, Range: c.IPRange, Gateway: c.Gateway, Aux: c.AuxAddress, Given: true})
		}
	}
}

// dependsLocked tells whether a network was made from a configuration.
func (n *Networks) dependsLocked(config *Network) bool {
	for _, nw := range n.byID {
		if config.ConfigOnly && nw.ConfigFrom == config.Name {
			return true
		}
	}
	return false
}
