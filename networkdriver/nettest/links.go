package nettest

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
)

// linkRow is the promise of a Linker.
var linkRow = row{
	"links", "where endpoints do not reach each other, a link opens its ports for one, and nothing else", connects, func(t *testing.T, f *fixture) {
		l, ok := f.Driver.(networkdriver.Linker)
		nw := f.network(1)
		nw.Options = map[string]string{"com.docker.network.bridge.enable_icc": "false"}
		if err := f.CreateNetwork(t.Context(), nw); !ok || errdefs.IsInvalidArgument(err) {
			t.Skip("the driver knows no links")
		}
		forwarding(t)
		one, two, three := f.connected(t, 1, 1), f.connected(t, 1, 2), f.connected(t, 1, 3)
		one.serve(t, 80, "web")
		one.serve(t, 81, "hidden")
		two.serve(t, 80, "own")
		to := []networkdriver.Link{{EndpointID: one.endpoint.ID, Proto: "tcp", Port: 80, Count: 1}, {EndpointID: one.endpoint.ID, Proto: "tcp", Port: 9000, Count: 1000}}
		assert.NilError(t, l.Link(t.Context(), nw.ID, two.endpoint.ID, to))
		only := func(f *fixture) {
			t.Helper()
			assert.Equal(t, f.answer(t, two, one.at(80)), "web "+two.endpoint.Address.Addr().String())
			f.silence(t, two, one.at(81))
			f.silence(t, one, two.at(80))
			f.silence(t, three, one.at(80))
			assert.Check(t, strings.HasPrefix(f.answer(t, nil, one.at(81)), "hidden "))
		}
		only(f)

		again := f.reopen(t)
		r, ok := again.Driver.(networkdriver.Restorer)
		if !ok {
			return
		}
		whole := networkdriver.Restored{Network: nw}
		for _, b := range []*box{one, two, three} {
			e := networkdriver.RestoredEndpoint{Endpoint: b.endpoint, Sandbox: networkdriver.Sandbox{Path: b.path, Interface: "eth0"}}
			if b == two {
				e.Links = to
			}
			whole.Endpoints = append(whole.Endpoints, e)
		}
		assert.NilError(t, r.Restore(t.Context(), []networkdriver.Restored{whole}))
		only(again)

		// Whoever has the address next was not linked.
		assert.NilError(t, again.Leave(t.Context(), nw.ID, one.endpoint.ID, false))
		assert.NilError(t, again.DeleteEndpoint(t.Context(), nw.ID, one.endpoint.ID))
		heir := f.endpoint(1, 1)
		heir.ID = id('f', 1)
		heir, err := again.CreateEndpoint(t.Context(), heir)
		assert.NilError(t, err)
		next := again.join(t, heir, "eth0")
		next.serve(t, 80, "heir")
		assert.Check(t, strings.HasPrefix(again.answer(t, nil, next.at(80)), "heir "))
		again.silence(t, two, next.at(80))
		l = again.Driver.(networkdriver.Linker)
		to = []networkdriver.Link{{EndpointID: heir.ID, Proto: "tcp", Port: 80, Count: 1}}
		assert.NilError(t, l.Link(t.Context(), nw.ID, two.endpoint.ID, to))
		assert.Check(t, strings.HasPrefix(again.answer(t, two, next.at(80)), "heir "))
		assert.NilError(t, l.Link(t.Context(), nw.ID, two.endpoint.ID, nil))
		again.silence(t, two, next.at(80))
	},
}
