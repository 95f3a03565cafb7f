package networkdriver

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/sirupsen/logrus"
)

// A Driver makes networks and connects sandboxes (the network namespaces of
// containers) to them.
//
// Life cycle:
//
//	CreateNetwork → CreateEndpoint → Join → Leave → DeleteEndpoint → DeleteNetwork
//
// Ids are chosen by the caller: 64 hex digits. Calls for different networks
// may run at the same time; the caller makes one call at a time for an endpoint, and
// deletes endpoints before their network. The driver keeps nothing on disk: after
// a restart the caller calls Restore, or the same Create calls again, and
// a driver takes over what it finds in the kernel.
type Driver interface {
	// CreateNetwork makes what the endpoints of a network share. It takes over
	// what a former process made for the same network. Unknown options of the driver's
	// own name space are an error that names them; ErrInUse when an interface or a subnet
	// belongs to somebody else. An error leaves nothing behind.
	CreateNetwork(ctx context.Context, n Network) error

	// DeleteNetwork removes it. An absent network is not an error.
	DeleteNetwork(ctx context.Context, networkID string) error

	// CreateEndpoint prepares a place on the network and returns the endpoint with
	// what the driver chose: a MAC if there was none. ErrNotFound (network).
	CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error)

	// DeleteEndpoint gives the place back. An absent endpoint is not an error. A
	// sandbox that is still connected is disconnected.
	DeleteEndpoint(ctx context.Context, networkID, endpointID string) error

	// Join connects a sandbox. ErrNotFound (endpoint). An error leaves the
	// sandbox as it was.
	Join(ctx context.Context, networkID, endpointID string, s Sandbox) (Joined, error)

	// Leave disconnects it. With gone the sandbox is ending, and what the kernel will remove
	// with it need not be waited for. Not joined is not an error.
	Leave(ctx context.Context, networkID, endpointID string, gone bool) error
}

// A Publisher makes ports of endpoints reachable at addresses of the host.
type Publisher interface {
	// Publish replaces the published ports of an endpoint, at once or, after an
	// error, not at all. That no other program has the host's ports is the caller's
	// business. ErrNotFound (endpoint).
	Publish(ctx context.Context, networkID, endpointID string, ports []Port) error
}

// A Relayer can not translate all that comes to published ports: of the other family than
// an endpoint's addresses, or from ::1. It sends that to the engine's relay.
type Relayer interface {
	// Relay says at which port of the host the relay listens, TCP and UDP; it comes before the ports that need it.
	Relay(port uint16) error
}

// A Linker may have networks whose endpoints do not reach each other, and opens ports of one to another.
type Linker interface {
	// Link replaces what an endpoint reaches of others of its network; where they all reach each other it
	// does nothing. What has no IPv4 address is not reached. With either endpoint its links go. ErrNotFound (endpoint).
	Link(ctx context.Context, networkID, endpointID string, links []Link) error
}

// A Router may publish the ports of a network at the endpoints' own addresses, which
// others route to, and take no ports of the host.
type Router interface {
	// Routes tells whether it does so for a family. Such a Port has no HostPort.
	Routes(networkID string, v6 bool) bool
}

// A Completer knows more of a network than the request says.
type Completer interface {
	// Complete gives the description back with what follows from it, such as Internal, or an error of the
	// kind that CreateNetwork has. Nothing is made.
	Complete(n Network) (Network, error)
}

// A Settler needs a moment, when the sandbox is configured, until packets flow.
type Settler interface {
	// Settle waits for it, but not for long, and reports nothing: a packet that is lost is sent again.
	Settle(ctx context.Context, networkID, endpointID string)
}

// A Restorer is told everything that exists in one call when the engine starts;
// of a driver without it the Create calls are repeated.
type Restorer interface {
	// Restore takes over networks with their joined endpoints and published ports.
	// It reports what could not be taken over and goes on with the rest.
	Restore(ctx context.Context, networks []Restored) error
}

// A Closer has something to end when the engine stops. Networks in use stay.
type Closer interface{ Close() error }

// A Cleaner removes from the host all that the driver made there, for the networks that are named and
// for those that only the host knows of, when the engine does not run and nothing is connected. Clean may
// be called twice, and finds what a killed engine left. What belongs to others stays.
type Cleaner interface {
	Clean(ctx context.Context, networks []Network) error
}

// Capable drivers say what they can do; others have the zero Capabilities.
type Capable interface{ Capabilities() Capabilities }

// Capabilities of a driver.
type Capabilities struct {
	// Predefined: there is one network of this driver, made by the engine; users
	// make none.
	Predefined bool
	// Addresses: endpoints have addresses, which the engine chooses from the network's subnets.
	Addresses bool
	// HostNamespace: containers share the network namespace of the host; there are no endpoints.
	HostNamespace bool
	// Detached: the host has no address on such a network, and is not reached there.
	Detached bool
}

// CapabilitiesOf asks a driver.
func CapabilitiesOf(d Driver) Capabilities {
	if c, ok := d.(Capable); ok {
		return c.Capabilities()
	}
	return Capabilities{}
}

// Network describes a network to its driver.
type Network struct {
	ID         string
	Name       string
	Internal   bool // no way out, no way in from outside
	EnableIPv4 bool
	EnableIPv6 bool
	IPv4, IPv6 []Subnet
	Options    map[string]string // com.docker.network.… and the driver's own
}

// Subnet is a range of addresses of a network.
type Subnet struct {
	Pool    netip.Prefix // masked
	Gateway netip.Addr   // of the host, or what the user named; invalid if there is none
}

// Endpoint is one place on a network.
type Endpoint struct {
	NetworkID   string
	ID          string
	Address     netip.Prefix     // IPv4 with the length of the subnet; invalid if none
	AddressIPv6 netip.Prefix     // invalid if none
	MAC         net.HardwareAddr // nil: the driver's choice
	Options     map[string]string
}

// Sandbox is a network namespace.
type Sandbox struct {
	Path      string // of the namespace's file: /proc/PID/ns/net
	Interface string // what the interface will be called inside: eth0
}

// Joined says how a sandbox is connected.
type Joined struct {
	// Interface is what the caller moves into the sandbox and renames; "" if there is
	// nothing to move, or if it is there already, under its name.
	Interface string
	InSandbox bool

	Gateway     netip.Addr // of the default route; invalid if none
	GatewayIPv6 netip.Addr
	Routes      []Route
}

// Route is a further route in a sandbox: by a gateway, or on the link if NextHop is invalid.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// Port is a range of ports of an endpoint published on the host. The ranges are equally long.
type Port struct {
	Proto         string     // tcp or udp
	HostIP        netip.Addr // unspecified: every address of the host of this family
	HostPort      uint16     // 0: the endpoint's own address is opened (Router)
	ContainerPort uint16
	Count         uint16 // 1 or more
}

// Link is a range of ports of another endpoint of the network.
type Link struct {
	EndpointID  string
	Proto       string // tcp, udp or sctp
	Port, Count uint16 // the first one, and how many
}

// Restored is a network as it was when the engine ended.
type Restored struct {
	Network   Network
	Endpoints []RestoredEndpoint
}

// RestoredEndpoint is an endpoint whose sandbox still lives.
type RestoredEndpoint struct {
	Endpoint Endpoint
	Sandbox  Sandbox
	Ports    []Port
	Links    []Link
}

// The errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such network or endpoint")
	ErrExists   = errors.New("it exists already")
	ErrInUse    = errors.New("in use by somebody else")
)

// Config is what a driver is opened with.
type Config struct {
	// Instance tells engines on one host apart where what a driver makes has a name on the host:
	// "engine" or "engine-" and a few letters.
	Instance string
	// IPForward: the driver may switch forwarding of packets on in the host.
	IPForward bool
	// GivenBridge is an interface of the administrator's, used as it is and never removed; "" if none.
	GivenBridge string
	Log         logrus.FieldLogger
}

// New opens a driver. It changes nothing on the host yet.
type New func(Config) (Driver, error)
