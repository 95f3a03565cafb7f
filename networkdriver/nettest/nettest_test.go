package nettest_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/fake"
	"github.com/jobengine/engine/networkdriver/nettest"
)

// Drivers with one fault each, and the row that has to find it.
var broken = map[string]struct {
	row string
	new func(*fake.Driver) networkdriver.Driver
}{
	"absent things are errors":           {"absent", func(d *fake.Driver) networkdriver.Driver { return strict{d} }},
	"a network cannot be taken over":     {"create_again", func(d *fake.Driver) networkdriver.Driver { return jealous{d} }},
	"endpoints without a network":        {"not_found", func(d *fake.Driver) networkdriver.Driver { return careless{d} }},
	"every network reaches every other":  {"networks_are_apart", func(d *fake.Driver) networkdriver.Driver { return open{d} }},
	"an internal network has a way out":  {"an_internal_network", func(d *fake.Driver) networkdriver.Driver { return leaky{d} }},
	"ports stay when they are withdrawn": {"published_ports", func(d *fake.Driver) networkdriver.Driver { return sticky{d} }},
	"a restart forgets":                  {"restored", func(d *fake.Driver) networkdriver.Driver { return forgetful{d} }},
	"MACs by chance":                     {"the_MAC_follows_the_address", func(d *fake.Driver) networkdriver.Driver { return fickle{d} }},
}

type strict struct{ *fake.Driver }

func (strict) DeleteNetwork(context.Context, string) error { return errors.New("it is not there") }

type jealous struct{ *fake.Driver }

func (j jealous) CreateNetwork(ctx context.Context, n networkdriver.Network) error {
	for _, name := range j.Networks() {
		if name == n.Name {
			return networkdriver.ErrExists
		}
	}
	return j.Driver.CreateNetwork(ctx, n)
}

type careless struct{ *fake.Driver }

func (careless) CreateEndpoint(_ context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	return e, nil
}

type open struct{ *fake.Driver }

func (o open) Connect(from string, to netip.AddrPort) (string, uint16, error) {
	return o.Driver.Connect("", to)
}

type leaky struct{ *fake.Driver }

func (l leaky) CreateNetwork(ctx context.Context, n networkdriver.Network) error {
	n.Internal = false
	return l.Driver.CreateNetwork(ctx, n)
}

type sticky struct{ *fake.Driver }

func (s sticky) Publish(ctx context.Context, network, endpoint string, ports []networkdriver.Port) error {
	if len(ports) == 0 {
		return nil
	}
	return s.Driver.Publish(ctx, network, endpoint, ports)
}

type forgetful struct{ *fake.Driver }

func (f forgetful) Restore(ctx context.Context, networks []networkdriver.Restored) error {
	for i := range networks {
		for j := range networks[i].Endpoints {
			networks[i].Endpoints[j].Ports = nil
		}
	}
	return f.Driver.Restore(ctx, networks)
}

type fickle struct{ *fake.Driver }

func (f fickle) CreateEndpoint(ctx context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	if e.MAC == nil {
		e.MAC = []byte{2, 0, 0, 0, 0, byte(len(e.ID))}
	}
	return f.Driver.CreateEndpoint(ctx, e)
}

func TestTheSuiteFindsBrokenDrivers(t *testing.T) {
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^TestOneBrokenDriver$/^"+b.row+"$", "-test.v")
			cmd.Env = append(os.Environ(), "NETTEST_BROKEN="+name, "NETTEST_PATIENCE=1s")
			out, err := cmd.CombinedOutput()
			assert.Check(t, err != nil, "nobody minds")
			assert.Check(t, strings.Contains(string(out), "--- FAIL: TestOneBrokenDriver/"+b.row), "%s", out)
		})
	}
}

func TestOneBrokenDriver(t *testing.T) {
	name := os.Getenv("NETTEST_BROKEN")
	if name == "" {
		t.Skip("run by TestTheSuiteFindsBrokenDrivers")
	}
	nettest.Run(t, func(t *testing.T) networkdriver.Driver {
		d, err := fake.New(networkdriver.Config{})
		assert.NilError(t, err)
		return broken[name].new(d.(*fake.Driver))
	})
}
