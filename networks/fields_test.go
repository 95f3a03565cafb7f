package networks_test

import (
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/networks"
)

func TestInspectionsCountAddresses(t *testing.T) {
	w := open(t, t.TempDir())
	_, err := w.create(t, network.CreateRequest{Name: "web", IPAM: subnetOf("10.77.0.0/24")})
	assert.NilError(t, err)
	assert.NilError(t, w.Allocate(t.Context(), request(c1, "web", nil)))
	is, err := jobs.NetworkInspect.Run(t.Context(), w.eng, jobs.NetworkInspectIn{Network: "web"})
	assert.NilError(t, err)
	assert.DeepEqual(t, is.Status.IPAM.Subnets[netip.MustParsePrefix("10.77.0.0/24")], network.SubnetStatus{IPsInUse: 4, DynamicIPsAvailable: 252})
	is, err = jobs.NetworkInspect.Run(t.Context(), w.eng, jobs.NetworkInspectIn{Network: "none"})
	assert.NilError(t, err)
	assert.Check(t, is.Status == nil)
}

// Docker's filter takes every network of a user for unused.
func TestDanglingNetworksAreThoseWithoutContainers(t *testing.T) {
	w := open(t, t.TempDir())
	for _, name := range []string{"used", "unused"} {
		_, err := w.create(t, network.CreateRequest{Name: name})
		assert.NilError(t, err)
	}
	assert.NilError(t, w.Allocate(t.Context(), request(c1, "used", nil)))
	names := func(value string) (names []string) {
		for _, nw := range w.list(t, filters.Args{"dangling": {value}}) {
			names = append(names, nw.Name)
		}
		return names
	}
	assert.DeepEqual(t, names("true"), []string{"unused"})
	assert.DeepEqual(t, names("false"), []string{"host", "none", "used"})
}

func TestRefusedRangesOfNetworks(t *testing.T) {
	w := open(t, t.TempDir())
	one := network.IPAMConfig{Subnet: netip.MustParsePrefix("10.77.0.0/24")}
	with := func(change func(*network.IPAMConfig)) *network.IPAM {
		c := one
		change(&c)
		return &network.IPAM{Config: []network.IPAMConfig{c}}
	}
	for text, ipam := range map[string]*network.IPAM{
		"bridge driver doesn't support multiple subnets": {Config: []network.IPAMConfig{one, {Subnet: netip.MustParsePrefix("10.78.0.0/24")}}},
		"invalid network config:\ninvalid ip-range 10.77.0.0/16: CIDR block is bigger than its parent subnet 10.77.0.0/24": with(func(c *network.IPAMConfig) {
			c.IPRange = netip.MustParsePrefix("10.77.0.0/16")
		}),
		"invalid network config:\ninvalid ip-range fd00::/80: parent subnet is an IPv4 block": with(func(c *network.IPAMConfig) {
			c.IPRange = netip.MustParsePrefix("fd00::/80")
		}),
		"invalid network config:\ninvalid gateway fd00::1: parent subnet is an IPv4 block": with(func(c *network.IPAMConfig) {
			c.Gateway = netip.MustParseAddr("fd00::1")
		}),
		"invalid network config:\n* invalid gateway 10.78.0.1: parent subnet 10.77.0.0/24 doesn't contain this address\n* invalid auxiliary address a: parent subnet 10.77.0.0/24 doesn't contain this address": with(func(c *network.IPAMConfig) {
			c.Gateway, c.AuxAddress = netip.MustParseAddr("10.78.0.1"), map[string]netip.Addr{"a": netip.MustParseAddr("10.79.0.1")}
		}),
	} {
		_, err := w.create(t, network.CreateRequest{Name: "x", IPAM: ipam})
		assert.Error(t, err, text)
	}
	for text, in := range map[string]network.CreateRequest{
		"This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.": {Name: "x", Driver: "overlay"},
		"Ingress network can only be global scope network":              {Name: "x", Ingress: true},
		"cannot create a swarm scoped network when swarm is not active": {Name: "x", Scope: "swarm"},
	} {
		_, err := w.create(t, in)
		assert.Error(t, err, text)
		assert.Check(t, errdefs.IsPermissionDenied(err))
	}
	assert.Equal(t, len(w.list(t, nil)), 2)
}

// A container that was disconnected from all of its networks starts with none.
func TestAContainerMayHaveNoNetworksAtAll(t *testing.T) {
	w := open(t, t.TempDir())
	assert.NilError(t, w.Allocate(t.Context(), request(c1, "none", map[string]*network.EndpointSettings{})))
	on, ports := w.Settings(c1)
	assert.Check(t, len(on) == 0 && ports != nil)
	assert.NilError(t, w.Release(t.Context(), c1))
	assert.NilError(t, w.Allocate(t.Context(), networks.Request{Container: c1, Name: "old", Mode: "none"}))
	on, _ = w.Settings(c1)
	assert.Check(t, on["none"] != nil, "a record of before there were networks says nothing")
}

func TestUnknownFiltersOfNetworksAreRefused(t *testing.T) {
	w := open(t, t.TempDir())
	for text, f := range map[string]filters.Args{
		"invalid filter 'nonsense'":          {"nonsense": {"1"}},
		"invalid filter 'dangling=nonsense'": {"dangling": {"nonsense"}},
		"invalid filter: 'type'='nonsense'":  {"type": {"nonsense"}},
	} {
		_, err := jobs.Networks.Run(t.Context(), w.eng, jobs.NetworksIn{Filters: f})
		assert.Error(t, err, text)
		assert.Check(t, errdefs.IsInvalidArgument(err))
	}
}
