package networks_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/sirupsen/logrus"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/host"
	"github.com/jobengine/engine/networkdriver/null"
	"github.com/jobengine/engine/networks"
)

// paper is a driver that makes nothing and remembers what it should have made.
type paper struct {
	made map[string]networkdriver.Network
}

func (p *paper) Capabilities() networkdriver.Capabilities {
	return networkdriver.Capabilities{Addresses: true}
}
func (p *paper) CreateNetwork(_ context.Context, n networkdriver.Network) error {
	p.made[n.ID] = n
	return nil
}
func (p *paper) DeleteNetwork(_ context.Context, id string) error { delete(p.made, id); return nil }
func (p *paper) CreateEndpoint(_ context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	return e, nil
}
func (p *paper) DeleteEndpoint(context.Context, string, string) error { return nil }
func (p *paper) Join(context.Context, string, string, networkdriver.Sandbox) (networkdriver.Joined, error) {
	return networkdriver.Joined{}, nil
}
func (p *paper) Leave(context.Context, string, string, bool) error { return nil }
func (p *paper) Publish(context.Context, string, string, []networkdriver.Port) error {
	return nil
}

type noted []string

func (n *noted) Log(_ events.Type, action events.Action, _ string, a map[string]string) {
	*n = append(*n, string(action)+" "+a["name"])
}

type world struct {
	*networks.Networks
	eng    *engine.Engine
	dir    string
	bridge *paper
	events noted
}

func open(t *testing.T, dir string, change ...func(*networks.Config)) *world {
	w := &world{eng: engine.New(), dir: dir, bridge: &paper{made: map[string]networkdriver.Network{}}}
	nullDriver, _ := null.New(networkdriver.Config{})
	hostDriver, _ := host.New(networkdriver.Config{})
	log := logrus.New()
	log.SetOutput(t.Output())
	cfg := networks.Config{
		Dir: filepath.Join(dir, "networks"), RunDir: filepath.Join(dir, "run"), EngineID: "one", Created: time.Unix(1, 0),
		Drivers: map[string]networkdriver.Driver{"null": nullDriver, "host": hostDriver, "bridge": w.bridge},
		Default: networks.Default{Bridge: "none"}, Events: &w.events, Log: log,
	}
	for _, c := range change {
		c(&cfg)
	}
	n, err := networks.New(cfg)
	assert.NilError(t, err)
	assert.NilError(t, n.Boot(t.Context()))
	w.Networks = n
	n.Install(w.eng)
	return w
}

func (w *world) list(t *testing.T, f filters.Args) []network.Summary {
	out, err := jobs.Networks.Run(t.Context(), w.eng, jobs.NetworksIn{Filters: f})
	assert.NilError(t, err)
	assert.Check(t, out.Networks != nil, "an empty list is [] and not null")
	return out.Networks
}

func (w *world) create(t *testing.T, r network.CreateRequest) (string, error) {
	out, err := jobs.NetworkCreate.Run(t.Context(), w.eng, jobs.NetworkCreateIn{CreateRequest: r})
	return out.ID, err
}

func TestNoneAndHostAreAlwaysThere(t *testing.T) {
	w := open(t, t.TempDir())
	list := w.list(t, nil)
	assert.Equal(t, len(list), 2)
	assert.DeepEqual(t, w.Drivers(), []string{"bridge", "host", "null"})
	for _, nw := range list {
		assert.Equal(t, w.ID(nw.Name), nw.ID)
		for _, ref := range []string{nw.Name, nw.ID, nw.ID[:8]} {
			got, err := jobs.NetworkInspect.Run(t.Context(), w.eng, jobs.NetworkInspectIn{Network: ref})
			assert.NilError(t, err)
			assert.Equal(t, got.ID, nw.ID)
		}
	}
	other := open(t, t.TempDir(), func(c *networks.Config) { c.EngineID = "two" })
	assert.Check(t, other.ID("none") != w.ID("none"))
}

func TestNetworksAreFiltered(t *testing.T) {
	w := open(t, t.TempDir())
	_, err := w.create(t, network.CreateRequest{Name: "web", Labels: map[string]string{"a": "b"}})
	assert.NilError(t, err)
	for _, c := range []struct {
		f    filters.Args
		want int
	}{
		{filters.Args{"driver": {"host"}}, 1},
		{filters.Args{"name": {"o"}}, 2},
		{filters.Args{"name": {"non"}}, 1},
		{filters.Args{"type": {"custom"}}, 1},
		{filters.Args{"type": {"builtin"}}, 2},
		{filters.Args{"dangling": {"true"}}, 1},
		{filters.Args{"dangling": {"false"}}, 2},
		{filters.Args{"label": {"a"}}, 1},
		{filters.Args{"label": {"a=c"}}, 0},
		{filters.Args{"scope": {"swarm"}}, 0},
	} {
		assert.Equal(t, len(w.list(t, c.f)), c.want, "%v", c.f)
	}
	for _, bad := range []filters.Args{{"colour": {"red"}}, {"type": {"x"}}, {"dangling": {"perhaps"}}} {
		_, err := jobs.Networks.Run(t.Context(), w.eng, jobs.NetworksIn{Filters: bad})
		assert.Check(t, errdefs.IsInvalidArgument(err), "%v: %v", bad, err)
	}
	_, err = jobs.NetworkInspect.Run(t.Context(), w.eng, jobs.NetworkInspectIn{Network: "nope"})
	assert.Check(t, errdefs.IsNotFound(err))
	assert.Error(t, err, "network nope not found")
}

func TestANetworkOutlivesTheEngineAndItsRemoval(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	id, err := w.create(t, network.CreateRequest{Name: "web", EnableIPv6: ptr(true), Options: map[string]string{"x": "y"}})
	assert.NilError(t, err)
	before, err := jobs.NetworkInspect.Run(t.Context(), w.eng, jobs.NetworkInspectIn{Network: "web"})
	assert.NilError(t, err)
	assert.Equal(t, len(before.IPAM.Config), 2)
	assert.Equal(t, before.IPAM.Config[0].Gateway, before.IPAM.Config[0].Subnet.Addr().Next())

	again := open(t, dir)
	after, err := jobs.NetworkInspect.Run(t.Context(), again.eng, jobs.NetworkInspectIn{Network: id})
	assert.NilError(t, err)
	assert.Equal(t, after.IPAM.Config[0].Subnet, before.IPAM.Config[0].Subnet)
	assert.Equal(t, after.IPAM.Config[1].Subnet, before.IPAM.Config[1].Subnet)
	assert.Equal(t, again.bridge.made[id].Name, "web")

	_, err = jobs.NetworkRemove.Run(t.Context(), again.eng, jobs.NetworkRemoveIn{Network: "web"})
	assert.NilError(t, err)
	assert.Equal(t, len(again.bridge.made), 0)
	assert.Equal(t, len(open(t, dir).list(t, nil)), 2)
	assert.DeepEqual(t, []string(w.events), []string{"create web"})
	assert.DeepEqual(t, []string(again.events), []string{"destroy web"})
}

func ptr[T any](v T) *T { return &v }

func subnetOf(text string) *network.IPAM {
	return &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix(text)}}}
}

func TestRefusedNetworks(t *testing.T) {
	w := open(t, t.TempDir())
	_, err := w.create(t, network.CreateRequest{Name: "web", IPAM: subnetOf("10.77.0.0/16")})
	assert.NilError(t, err)
	for _, c := range []struct {
		in    network.CreateRequest
		class func(error) bool
		text  string
	}{
		{network.CreateRequest{Name: "web"}, errdefs.IsConflict, "network with name web already exists"},
		{network.CreateRequest{Name: "host"}, errdefs.IsPermissionDenied, "operation is not permitted on predefined host network "},
		{network.CreateRequest{Name: " "}, errdefs.IsInvalidArgument, "invalid name: name is empty"},
		{network.CreateRequest{Name: "a b"}, errdefs.IsInvalidArgument, `"a b" includes invalid characters, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed`},
		{network.CreateRequest{Name: "x", Driver: "host"}, errdefs.IsPermissionDenied, `only one instance of "host" network is allowed`},
		{network.CreateRequest{Name: "x", Driver: "nope"}, errdefs.IsNotFound, `plugin "nope" not found`},
		{network.CreateRequest{Name: "x", IPAM: subnetOf("10.77.3.0/24")}, errdefs.IsPermissionDenied, "invalid pool request: Pool overlaps with other one on this address space"},
		{network.CreateRequest{Name: "x", IPAM: subnetOf("10.78.0.1/16")}, errdefs.IsInvalidArgument, "invalid network config:\ninvalid subnet 10.78.0.1/16: it should be 10.78.0.0/16"},
		{network.CreateRequest{Name: "x", IPAM: subnetOf("fd00::/64")}, errdefs.IsInvalidArgument, "invalid network config:\ninvalid subnet fd00::/64: IPv6 has not been enabled for this network"},
		{network.CreateRequest{Name: "x", EnableIPv4: ptr(false)}, errdefs.IsInvalidArgument, "IPv4 or IPv6 must be enabled"},
	} {
		_, err := w.create(t, c.in)
		assert.Check(t, c.class(err), "%+v: %v", c.in, err)
		assert.Error(t, err, c.text)
	}
	assert.Equal(t, len(w.list(t, nil)), 3)
	entries, err := os.ReadDir(filepath.Join(w.dir, "networks"))
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 1)
	for name, text := range map[string]string{
		"none": "none is a pre-defined network and cannot be removed", "nope": "network nope not found",
	} {
		_, err := jobs.NetworkRemove.Run(t.Context(), w.eng, jobs.NetworkRemoveIn{Network: name})
		assert.Error(t, err, text)
	}
}

func request(id, mode string, endpoints map[string]*network.EndpointSettings) networks.Request {
	return networks.Request{Container: id, Name: "name-" + id[:2], Mode: mode, Endpoints: endpoints}
}

const c1, c2 = "1111111111111111", "2222222222222222"

func TestContainersHaveAddressesAndPorts(t *testing.T) {
	w := open(t, t.TempDir(), func(c *networks.Config) {
		c.Default = networks.Default{Bridge: "engtest0", Address: netip.MustParsePrefix("10.99.0.1/24")}
	})
	_, err := w.create(t, network.CreateRequest{Name: "web", IPAM: subnetOf("10.77.0.0/16")})
	assert.NilError(t, err)
	r := request(c1, "default", nil)
	r.Bindings = network.PortMap{network.MustParsePort("80/tcp"): {{HostPort: "61080"}}}
	r.Exposed = network.PortSet{network.MustParsePort("443/tcp"): {}, network.MustParsePort("80/tcp"): {}}
	assert.NilError(t, w.Allocate(t.Context(), r))
	on, ports := w.Settings(c1)
	assert.Equal(t, on["bridge"].IPAddress, netip.MustParseAddr("10.99.0.2"))
	assert.Equal(t, len(ports[network.MustParsePort("80/tcp")]), 2, "both families")
	list, exposed := ports[network.MustParsePort("443/tcp")]
	assert.Check(t, exposed && list == nil)

	r2 := request(c2, "default", nil)
	r2.Bindings = r.Bindings
	err = w.Allocate(t.Context(), r2)
	assert.ErrorContains(t, err, "Bind for 0.0.0.0:61080 failed: port is already allocated")
	on, _ = w.Settings(c2)
	assert.Check(t, on == nil)

	fixed := func(a string) map[string]*network.EndpointSettings {
		return map[string]*network.EndpointSettings{"web": {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(a)}, Aliases: []string{"db"}}}
	}
	assert.NilError(t, w.Allocate(t.Context(), request(c2, "web", fixed("10.77.5.5"))))
	on, _ = w.Settings(c2)
	assert.Equal(t, on["web"].IPAddress, netip.MustParseAddr("10.77.5.5"))
	assert.DeepEqual(t, on["web"].DNSNames, []string{"name-22", "db", c2[:12]})
	_, err = jobs.NetworkRemove.Run(t.Context(), w.eng, jobs.NetworkRemoveIn{Network: "web"})
	assert.Check(t, errdefs.IsPermissionDenied(err), "%v", err)

	const c3 = "3333333333333333"
	assert.Error(t, w.Allocate(t.Context(), request(c3, "web", fixed("10.77.5.5"))), "Address already in use")
	assert.ErrorContains(t, w.Allocate(t.Context(), request(c3, "web", fixed("10.78.0.1"))), "no configured subnet or ip-range contain the IP address 10.78.0.1")
	assert.Error(t, w.Allocate(t.Context(), request(c3, "nope", nil)), "network nope not found")
	assert.NilError(t, w.Release(t.Context(), c1))
	assert.NilError(t, w.Release(t.Context(), c2))
	assert.NilError(t, w.Allocate(t.Context(), request(c3, "web", fixed("10.77.5.5"))))
}
