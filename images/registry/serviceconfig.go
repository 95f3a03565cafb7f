package registry

import (
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/registry"
)

// ServiceConfig is the configuration as `info` shows it.
func (c *Client) ServiceConfig() *registry.ServiceConfig {
	out := &registry.ServiceConfig{
		InsecureRegistryCIDRs: slices.SortedFunc(slices.Values(c.nets), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }),
		IndexConfigs:          map[string]*registry.IndexInfo{},
		Mirrors:               append([]string{}, c.Mirrors[hub]...),
	}
	add := func(name string) *registry.IndexInfo {
		if out.IndexConfigs[name] == nil {
			out.IndexConfigs[name] = &registry.IndexInfo{Name: name, Mirrors: append([]string{}, c.Mirrors[name]...), Secure: true}
		}
		return out.IndexConfigs[name]
	}
	add(hub).Official = true
	for _, name := range c.names {
		add(name).Secure = false
	}
	for name := range c.Mirrors {
		add(name)
	}
	return out
}
