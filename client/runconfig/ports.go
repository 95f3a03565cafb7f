package runconfig

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/docker/go-connections/nat"
	"github.com/moby/moby/api/types/network"
)

// ports reads --publish and --expose. A published port is exposed too.
func ports(publish, expose []string) (network.PortSet, network.PortMap, error) {
	specs := make([]string, 0, len(publish))
	for _, p := range publish {
		spec, err := shortPort(p)
		if err != nil {
			return nil, nil, err
		}
		specs = append(specs, spec)
	}
	exposed, bindings := network.PortSet{}, network.PortMap{}
	for _, spec := range specs {
		mappings, err := nat.ParsePortSpec(spec)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range mappings {
			port, err := network.ParsePort(string(m.Port))
			if err != nil {
				return nil, nil, err
			}
			var ip netip.Addr
			if m.Binding.HostIP != "" {
				if ip, err = netip.ParseAddr(m.Binding.HostIP); err != nil {
					return nil, nil, err
				}
			}
			exposed[port] = struct{}{}
			bindings[port] = append(bindings[port], network.PortBinding{HostIP: ip, HostPort: m.Binding.HostPort})
		}
	}
	for _, e := range expose {
		if strings.Contains(e, ":") {
			return nil, nil, fmt.Errorf("invalid port format for --expose: %s", e)
		}
		r, err := network.ParsePortRange(e)
		if err != nil {
			return nil, nil, fmt.Errorf("invalid range format for --expose: %s, error: %w", e, err)
		}
		for p := range r.All() {
			exposed[p] = struct{}{}
		}
	}
	return exposed, bindings, nil
}

// shortPort turns the long form target=,published=,protocol= into the short one.
func shortPort(s string) (string, error) {
	if !strings.Contains(s, "=") {
		return s, nil
	}
	m := map[string]string{"protocol": "tcp"}
	for _, field := range strings.Split(s, ",") {
		k, v, ok := strings.Cut(field, "=")
		if !ok || k == "" {
			return "", fmt.Errorf("invalid publish opts format (should be name=value but got '%s')", field)
		}
		m[k] = v
	}
	return fmt.Sprintf("%s:%s/%s", m["published"], m["target"], m["protocol"]), nil
}
