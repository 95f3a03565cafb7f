package request

import (
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

func endpoints(mode container.NetworkMode, names ...string) (map[string]*network.EndpointSettings, error) {
	n := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	for _, name := range names {
		n.EndpointsConfig[name] = &network.EndpointSettings{}
	}
	return Endpoints(n, &container.HostConfig{NetworkMode: mode})
}

func TestTheModesOfNetworksDoNotMix(t *testing.T) {
	const mixed = "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
	for _, c := range []struct {
		mode  container.NetworkMode
		names []string
		bad   bool
	}{
		{"none", []string{"none", "host"}, true},
		{"bridge", []string{"bridge", "none"}, true},
		{"container:web", []string{"front"}, true},
		{"front", []string{"front", "back"}, false},
		{"bridge", []string{"bridge", "front"}, false},
	} {
		all, err := endpoints(c.mode, c.names...)
		if c.bad {
			assert.Error(t, err, mixed)
			assert.Check(t, errdefs.IsInvalidArgument(err))
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, len(all), len(c.names))
	}
}

func TestTheDefaultNetworkIsForThoseWhoNameNone(t *testing.T) {
	for _, mode := range []container.NetworkMode{"", "default"} {
		all, err := endpoints(mode)
		assert.NilError(t, err)
		assert.Check(t, len(all) == 1 && all["default"] != nil)
		all, err = endpoints(mode, "front")
		assert.NilError(t, err)
		assert.Check(t, len(all) == 1 && all["front"] != nil, "%v", all)
	}
}

func TestAddressesAreOfTheirFamily(t *testing.T) {
	for text, c := range map[string]network.EndpointIPAMConfig{
		"invalid endpoint settings:\ninvalid IPv4 address: fd00::1":     {IPv4Address: netip.MustParseAddr("fd00::1")},
		"invalid endpoint settings:\ninvalid IPv6 address: 10.0.0.1":    {IPv6Address: netip.MustParseAddr("10.0.0.1")},
		"invalid endpoint settings:\ninvalid IPv4 address: 0.0.0.0":     {IPv4Address: netip.MustParseAddr("0.0.0.0")},
		"invalid endpoint settings:\ninvalid link-local IP address: ::": {LinkLocalIPs: []netip.Addr{netip.MustParseAddr("::")}},
	} {
		n := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"front": {IPAMConfig: &c}}}
		_, err := Endpoints(n, &container.HostConfig{NetworkMode: "front"})
		assert.Error(t, err, text)
		assert.Check(t, errdefs.IsInvalidArgument(err))
	}
}
