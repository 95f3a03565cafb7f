// Package host lets containers use the network of the host itself.
package host

import (
	"context"

	"github.com/jobengine/engine/networkdriver"
)

// Driver has no state and never fails: a container that shares the host's
// namespace needs nothing made.
type Driver struct{}

// New makes the driver.
func New(networkdriver.Config) (networkdriver.Driver, error) { return Driver{}, nil }

// Capabilities: there is one such network, and it is the host's namespace.
func (Driver) Capabilities() networkdriver.Capabilities {
	return networkdriver.Capabilities{Predefined: true, HostNamespace: true}
}

// CreateNetwork does nothing.
func (Driver) CreateNetwork(context.Context, networkdriver.Network) error { return nil }

// DeleteNetwork does nothing.
func (Driver) DeleteNetwork(context.Context, string) error { return nil }

// CreateEndpoint gives the endpoint back.
func (Driver) CreateEndpoint(_ context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	return e, nil
}

// DeleteEndpoint does nothing.
func (Driver) DeleteEndpoint(context.Context, string, string) error { return nil }

// Join does nothing: the sandbox is the host's.
func (Driver) Join(context.Context, string, string, networkdriver.Sandbox) (networkdriver.Joined, error) {
	return networkdriver.Joined{}, nil
}

// Leave does nothing.
func (Driver) Leave(context.Context, string, string, bool) error { return nil }
