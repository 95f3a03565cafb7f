package networks_test

import (
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

func TestAConfigurationIsARecordToMakeNetworksFrom(t *testing.T) {
	w := open(t, t.TempDir())
	subnet := netip.MustParsePrefix("10.77.0.0/24")
	yes := true
	make := func(q network.CreateRequest) error {
		_, err := w.create(t, q)
		return err
	}
	inspect := func(name string) network.Inspect {
		out, err := jobs.NetworkInspect.Run(t.Context(), w.eng, jobs.NetworkInspectIn{Network: name})
		assert.NilError(t, err)
		return out.Inspect
	}
	assert.NilError(t, make(network.CreateRequest{Name: "cfg", ConfigOnly: true, Driver: "nobody has it", Labels: map[string]string{"a": "b"},
		Options: map[string]string{"o": "p"}, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}}))
	is := inspect("cfg")
	assert.Check(t, is.ConfigOnly && is.Driver == "null" && is.Scope == "local" && is.IPAM.Config[0].Subnet == subnet && !is.IPAM.Config[0].Gateway.IsValid())
	from := &network.ConfigReference{Network: "cfg"}
	for _, c := range []struct {
		q     network.CreateRequest
		class func(error) bool
		says  string
	}{
		{network.CreateRequest{Name: "x", ConfigFrom: &network.ConfigReference{Network: "nothing"}}, errdefs.IsNotFound, `configuration network "nothing" does not exist`},
		{network.CreateRequest{Name: "x", ConfigFrom: &network.ConfigReference{Network: "none"}}, errdefs.IsNotFound, `configuration network "none" does not exist`},
		{network.CreateRequest{Name: "x", ConfigFrom: from, Labels: map[string]string{"c": "d"}}, errdefs.IsPermissionDenied, "user specified configurations are not supported if the network depends on a configuration network"},
		{network.CreateRequest{Name: "x", ConfigFrom: from, EnableIPv6: &yes}, errdefs.IsPermissionDenied, "user specified configurations are not supported if the network depends on a configuration network"},
		{network.CreateRequest{Name: "x", ConfigFrom: from, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}}, errdefs.IsPermissionDenied, "user specified configurations are not supported if the network depends on a configuration network"},
		{network.CreateRequest{Name: "x", ConfigFrom: from, Options: map[string]string{"a": "b"}}, errdefs.IsPermissionDenied, "network driver options are not supported if the network depends on a configuration network"},
		{network.CreateRequest{Name: "x", ConfigFrom: from, ConfigOnly: true}, errdefs.IsPermissionDenied, "a configuration network cannot depend on another configuration network"},
		{network.CreateRequest{Name: "x", ConfigOnly: true, Internal: true}, errdefs.IsPermissionDenied, "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported."},
		{network.CreateRequest{Name: "x", ConfigOnly: true, Scope: "swarm"}, errdefs.IsPermissionDenied, "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported."},
		{network.CreateRequest{Name: "cfg", ConfigOnly: true}, errdefs.IsConflict, "network with name cfg already exists"},
		{network.CreateRequest{Name: "x", Driver: "ipvlan"}, errdefs.IsNotImplemented, "ipvlan networks do not exist in this version; macvlan networks do"},
	} {
		err := make(c.q)
		assert.Error(t, err, c.says)
		assert.Check(t, c.class(err), c.says)
	}
	// The configuration itself takes no subnet; two networks from it would.
	assert.NilError(t, make(network.CreateRequest{Name: "one", Internal: true, Attachable: true, ConfigFrom: from}))
	is = inspect("one")
	assert.Check(t, is.ConfigFrom.Network == "cfg" && is.Labels["a"] == "b" && is.Options["o"] == "p" && is.IPAM.Config[0].Subnet == subnet && is.Internal && is.Attachable && !is.ConfigOnly)
	assert.ErrorContains(t, make(network.CreateRequest{Name: "two", ConfigFrom: from}), "Pool overlaps with other one on this address space")

	remove := func(name string) error {
		_, err := jobs.NetworkRemove.Run(t.Context(), w.eng, jobs.NetworkRemoveIn{Network: name})
		return err
	}
	w = open(t, w.dir) // the daemon again
	err := remove("cfg")
	assert.Error(t, err, `error while removing network: configuration network "cfg" is in use`)
	assert.Check(t, errdefs.IsPermissionDenied(err))
	out, err := jobs.NetworkPrune.Run(t.Context(), w.eng, jobs.NetworkPruneIn{})
	assert.NilError(t, err)
	assert.DeepEqual(t, out.NetworksDeleted, []string{"one"})
	assert.NilError(t, remove("cfg"))
}
