package nettest

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/networkdriver"
)

var rows = []row{
	{"life", "the whole life of a network and an endpoint, each call in its turn", nothing, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		e, err := f.CreateEndpoint(t.Context(), f.endpoint(1, 1))
		assert.NilError(t, err)
		assert.Equal(t, e.ID, f.endpoint(1, 1).ID)
		assert.NilError(t, f.DeleteEndpoint(t.Context(), e.NetworkID, e.ID))
		assert.NilError(t, f.DeleteNetwork(t.Context(), e.NetworkID))
	}},
	{"absent", "removing what is not there is no error: a removal may be repeated after a kill", nothing, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.DeleteNetwork(t.Context(), id('a', 9)))
		assert.NilError(t, f.DeleteEndpoint(t.Context(), id('a', 9), id('e', 9)))
		assert.NilError(t, f.Leave(t.Context(), id('a', 9), id('e', 9), false))
	}},
	{"create again", "a network is taken over by the same call: the process that made it may have been killed", nothing, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		again := f.open(t)
		assert.NilError(t, again.CreateNetwork(t.Context(), f.network(1)))
		assert.NilError(t, again.DeleteNetwork(t.Context(), f.network(1).ID))
	}},
	{"not found", "endpoints need their network", connects, func(t *testing.T, f *fixture) {
		_, err := f.CreateEndpoint(t.Context(), f.endpoint(9, 1))
		assert.Check(t, errors.Is(err, networkdriver.ErrNotFound), "%v", err)
		_, err = f.Join(t.Context(), id('a', 9), id('e', 9), networkdriver.Sandbox{Path: "/proc/self/ns/net", Interface: "eth0"})
		assert.Check(t, errors.Is(err, networkdriver.ErrNotFound), "%v", err)
	}},
	{"nothing is left", "what was made goes, on the host and in the sandbox", kernel, func(t *testing.T, f *fixture) {
		before := links(t)
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		b := f.connected(t, 1, 1)
		assert.NilError(t, f.Leave(t.Context(), b.endpoint.NetworkID, b.endpoint.ID, false))
		assert.NilError(t, f.DeleteEndpoint(t.Context(), b.endpoint.NetworkID, b.endpoint.ID))
		assert.NilError(t, sandbox.Do(b.path, func() error {
			inside := links(t)
			assert.Check(t, !inside["eth0"])
			return nil
		}))
		assert.NilError(t, f.DeleteNetwork(t.Context(), b.endpoint.NetworkID))
		assert.DeepEqual(t, links(t), before)
	}},
	{"a sandbox that ends", "the kernel removes the pair with the namespace; Leave with gone does not wait for it", kernel, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		before := len(links(t))
		b := f.connected(t, 1, 1)
		b.end()
		assert.NilError(t, f.Leave(t.Context(), b.endpoint.NetworkID, b.endpoint.ID, true))
		assert.NilError(t, f.DeleteEndpoint(t.Context(), b.endpoint.NetworkID, b.endpoint.ID))
		eventually(t, "the end of the pair", func() bool { return len(links(t)) == before })
	}},
	{"a sandbox that lives on", "with gone the pair goes too where the namespace is held by others", kernel, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		before := len(links(t))
		b := f.connected(t, 1, 1)
		assert.NilError(t, f.Leave(t.Context(), b.endpoint.NetworkID, b.endpoint.ID, true))
		assert.NilError(t, f.DeleteEndpoint(t.Context(), b.endpoint.NetworkID, b.endpoint.ID))
		eventually(t, "the end of the pair", func() bool {
			var inside map[string]bool
			assert.NilError(t, sandbox.Do(b.path, func() error { inside = links(t); return nil }))
			return len(links(t)) == before && !inside["eth0"]
		})
	}},
	{"neighbours", "endpoints of a network reach each other, and the host reaches them unless it is no part of the network", connects, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		one, two := f.connected(t, 1, 1), f.connected(t, 1, 2)
		one.serve(t, 80, "one")
		assert.Equal(t, f.answer(t, two, one.at(80)), "one "+two.endpoint.Address.Addr().String())
		if f.can.Detached {
			return
		}
		assert.Check(t, strings.HasPrefix(f.answer(t, nil, one.at(80)), "one "))
	}},
	{"the MAC follows the address", "a neighbour's cache stays right when a container is started again", connects, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		e, err := f.CreateEndpoint(t.Context(), f.endpoint(1, 1))
		assert.NilError(t, err)
		assert.Equal(t, e.MAC.String(), "02:42:0a:c8:01:03")
		given := f.endpoint(1, 2)
		given.MAC = []byte{2, 3, 4, 5, 6, 7}
		e, err = f.CreateEndpoint(t.Context(), given)
		assert.NilError(t, err)
		assert.Equal(t, e.MAC.String(), "02:03:04:05:06:07")
	}},
	{"the MAC in the sandbox", "is that of the endpoint", kernel, func(t *testing.T, f *fixture) {
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		given := f.endpoint(1, 2)
		given.MAC = []byte{2, 3, 4, 5, 6, 7}
		e, err := f.CreateEndpoint(t.Context(), given)
		assert.NilError(t, err)
		b := f.join(t, e, "eth0")
		assert.NilError(t, sandbox.Do(b.path, func() error {
			link, err := netlink.LinkByName("eth0")
			assert.NilError(t, err)
			assert.Equal(t, link.Attrs().HardwareAddr.String(), "02:03:04:05:06:07")
			return nil
		}))
	}},
	{"networks are apart", "no packet crosses from one network to another", connects, func(t *testing.T, f *fixture) {
		forwarding(t)
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(2)))
		one, two := f.connected(t, 1, 1), f.connected(t, 2, 1)
		one.serve(t, 80, "one")
		neighbour := f.connected(t, 1, 2)
		f.answer(t, neighbour, one.at(80)) // it does serve
		f.silence(t, two, one.at(80))
	}},
	{"published ports", "the host's port leads to the endpoint, from the host by every address, and back from the endpoint itself", connects, func(t *testing.T, f *fixture) {
		p, ok := f.Driver.(networkdriver.Publisher)
		if !ok {
			t.Skip("the driver does not publish")
		}
		forwarding(t)
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		b, other := f.connected(t, 1, 1), f.connected(t, 1, 2)
		b.serve(t, 80, "web")
		b.serve(t, 9001, "second")
		gw := f.network(1).IPv4[0].Gateway
		e := b.endpoint
		assert.NilError(t, p.Publish(t.Context(), e.NetworkID, e.ID, []networkdriver.Port{
			{Proto: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: 8080, ContainerPort: 80, Count: 1},
			{Proto: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: 9000, ContainerPort: 9000, Count: 1000},
		}))
		for _, c := range []struct {
			from *box
			word string
			to   netip.AddrPort
		}{
			{nil, "web", netip.MustParseAddrPort("127.0.0.1:8080")},
			{nil, "web", netip.AddrPortFrom(gw, 8080)},
			{nil, "second", netip.MustParseAddrPort("127.0.0.1:9001")},
			{other, "web", netip.AddrPortFrom(gw, 8080)},
			{b, "web", netip.AddrPortFrom(gw, 8080)},
		} {
			assert.Check(t, strings.HasPrefix(f.answer(t, c.from, c.to), c.word+" "), "%s", c.to)
		}
		assert.NilError(t, p.Publish(t.Context(), e.NetworkID, e.ID, nil))
		f.silence(t, nil, netip.MustParseAddrPort("127.0.0.1:8080")) // withdrawn
	}},
	{"an internal network", "has no way out and no default route", connects, func(t *testing.T, f *fixture) {
		forwarding(t)
		nw := f.network(1)
		nw.Internal = true
		assert.NilError(t, f.CreateNetwork(t.Context(), nw))
		e, err := f.CreateEndpoint(t.Context(), f.endpoint(1, 1))
		assert.NilError(t, err)
		b := f.newBox(t)
		j, err := f.Join(t.Context(), e.NetworkID, e.ID, networkdriver.Sandbox{Path: b.path, Interface: "eth0"})
		assert.NilError(t, err)
		assert.Check(t, !j.Gateway.IsValid())
	}},
	{"without icc", "endpoints of a network that forbids it do not reach each other, and still the host", connects, func(t *testing.T, f *fixture) {
		nw := f.network(1)
		nw.Options = map[string]string{"com.docker.network.bridge.enable_icc": "false"}
		if err := f.CreateNetwork(t.Context(), nw); errdefs.IsInvalidArgument(err) || f.can.Detached {
			t.Skip("the driver knows no icc")
		}
		one, two := f.connected(t, 1, 1), f.connected(t, 1, 2)
		one.serve(t, 80, "one")
		f.silence(t, two, one.at(80))
		assert.Check(t, strings.HasPrefix(f.answer(t, nil, one.at(80)), "one "))
	}},
	linkRow,
	{"restored", "a new process takes over networks, endpoints and ports", connects, func(t *testing.T, f *fixture) {
		after := f.reopen(t)
		r, ok := after.Driver.(networkdriver.Restorer)
		if !ok {
			t.Skip("the driver is not told all at once")
		}
		forwarding(t)
		assert.NilError(t, f.CreateNetwork(t.Context(), f.network(1)))
		b := f.connected(t, 1, 1)
		b.serve(t, 80, "web")
		_, publishes := r.(networkdriver.Publisher)
		var ports []networkdriver.Port
		if publishes {
			ports = []networkdriver.Port{{Proto: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: 8080, ContainerPort: 80, Count: 1}}
		}
		assert.NilError(t, r.Restore(t.Context(), []networkdriver.Restored{{
			Network:   f.network(1),
			Endpoints: []networkdriver.RestoredEndpoint{{Endpoint: b.endpoint, Sandbox: networkdriver.Sandbox{Path: b.path, Interface: "eth0"}, Ports: ports}},
		}}))
		if publishes {
			assert.Check(t, strings.HasPrefix(after.answer(t, nil, netip.MustParseAddrPort("127.0.0.1:8080")), "web "))
		}
		next := after.connected(t, 1, 2)
		assert.Equal(t, after.answer(t, next, b.at(80)), "web "+next.endpoint.Address.Addr().String())
		assert.NilError(t, after.Leave(t.Context(), b.endpoint.NetworkID, b.endpoint.ID, false))
		assert.NilError(t, after.DeleteEndpoint(t.Context(), b.endpoint.NetworkID, b.endpoint.ID))
		after.silence(t, next, b.at(80)) // it was taken over, so it could be removed
		after.silence(t, nil, netip.MustParseAddrPort("127.0.0.1:8080"))
	}},
}

// forwarding makes the namespace a router.
func forwarding(t *testing.T) {
	if os.Getuid() != 0 {
		return // a model does without
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		t.Skipf("the host can not forward: %v", err)
	}
}
