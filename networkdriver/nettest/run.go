package nettest

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
)

// A row is one promise.
type row struct {
	name  string
	why   string
	needs need
	run   func(t *testing.T, f *fixture)
}

// A need is what a row asks for.
type need int

const (
	nothing  need = iota
	connects      // a driver whose endpoints have addresses; root, or a Model
	kernel        // the same, and interfaces to look at: root, and no Model
)

// A Model is a driver without a kernel behind it. The rows about connections ask it instead of
// sending packets, and need no root.
type Model interface {
	networkdriver.Driver
	// Connect says which endpoint answers a connection to an address, and at which of its ports. It comes from
	// a joined endpoint, or from the host if from is "". An error: nobody does.
	Connect(from string, to netip.AddrPort) (endpoint string, port uint16, err error)
}

// Run runs the suite on drivers that open gives. Each row has a driver of its own.
func Run(t *testing.T, open func(t *testing.T) networkdriver.Driver) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if os.Getuid() == 0 { // a host of its own for the row
				runtime.LockOSThread() // never unlocked: the thread ends with the row
				assert.NilError(t, unix.Unshare(unix.CLONE_NEWNET))
				up(t, "lo")
			}
			d := open(t)
			f := &fixture{Driver: d, can: networkdriver.CapabilitiesOf(d), open: open, boxes: map[string]*box{}}
			if c, ok := d.(networkdriver.Closer); ok {
				t.Cleanup(func() { c.Close() })
			}
			_, model := d.(Model)
			if r.needs > nothing && !f.can.Addresses || r.needs == kernel && model || r.needs > nothing && !model && os.Getuid() != 0 {
				t.Skip("needs a driver that connects, and a kernel that it may change")
			}
			r.run(t, f)
			if t.Failed() {
				t.Log(r.why)
			}
		})
	}
}

// fixture makes ids and descriptions.
type fixture struct {
	networkdriver.Driver
	can  networkdriver.Capabilities
	open func(t *testing.T) networkdriver.Driver

	boxes map[string]*box // of a Model, by endpoint
}

// reopen gives what a later process has: another driver, and the same sandboxes.
func (f *fixture) reopen(t *testing.T) *fixture {
	d := f.open(t)
	if c, ok := d.(networkdriver.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	return &fixture{Driver: d, can: f.can, open: f.open, boxes: f.boxes}
}

func id(kind byte, n int) string { return fmt.Sprintf("%08d", n) + strings.Repeat(string(kind), 56) }

func (f *fixture) network(n int) networkdriver.Network {
	nw := networkdriver.Network{ID: id('a', n), Name: fmt.Sprint("network", n), EnableIPv4: true}
	if f.can.Addresses {
		pool := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(n), 0}), 24)
		nw.IPv4 = []networkdriver.Subnet{{Pool: pool, Gateway: pool.Addr().Next()}}
	}
	return nw
}

func (f *fixture) endpoint(network, n int) networkdriver.Endpoint {
	e := networkdriver.Endpoint{NetworkID: id('a', network), ID: fmt.Sprintf("%04d%04d", network, n) + id('e', 0)[8:]}
	if f.can.Addresses {
		e.Address = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(network), byte(n + 2)}), 24)
	}
	return e
}

// connected makes a sandbox and connects it.
func (f *fixture) connected(t *testing.T, network, n int) *box {
	e, err := f.CreateEndpoint(t.Context(), f.endpoint(network, n))
	assert.NilError(t, err)
	return f.join(t, e, "eth0")
}
