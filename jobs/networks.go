package jobs

import (
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs of networks. Those that change a container are of the noun containers.
var (
	Networks          = engine.Define[NetworksIn, NetworksOut]("networks", engine.Quiet)
	NetworkInspect    = engine.Define[NetworkInspectIn, NetworkInspectOut]("network_inspect", engine.Quiet)
	NetworkCreate     = engine.Define[NetworkCreateIn, NetworkCreateOut]("network_create")
	NetworkRemove     = engine.Define[NetworkRemoveIn, NetworkRemoveOut]("network_remove")
	NetworkPrune      = engine.Define[NetworkPruneIn, NetworkPruneOut]("network_prune")
	NetworkConnect    = engine.Define[NetworkConnectIn, NetworkConnectOut]("network_connect")
	NetworkDisconnect = engine.Define[NetworkDisconnectIn, NetworkDisconnectOut]("network_disconnect")
)

// NetworksIn selects networks.
type NetworksIn struct{ Filters filters.Args }

// NetworksOut is never nil.
type NetworksOut struct{ Networks []network.Summary }

// NetworkInspectIn names a network by name, id, or a unique prefix of its id.
type NetworkInspectIn struct {
	Network string `job:"arg"`
	Verbose bool
	Scope   string
}

// NetworkInspectOut is all there is to know of a network.
type NetworkInspectOut struct{ network.Inspect }

// NetworkCreateIn describes a network.
type NetworkCreateIn struct{ network.CreateRequest }

// NetworkCreateOut is its id, and what the user should know.
type NetworkCreateOut struct{ ID, Warning string }

// NetworkRemoveIn names a network by name, id, or a unique prefix of its id.
type NetworkRemoveIn struct {
	Network string `job:"arg"`
}

// NetworkRemoveOut is empty.
type NetworkRemoveOut struct{}

// NetworkPruneIn selects among the networks that no container uses.
type NetworkPruneIn struct{ Filters filters.Args }

// NetworkPruneOut names those that were removed; nil if there were none.
type NetworkPruneOut struct{ NetworksDeleted []string }

// NetworkConnectIn connects a container, running or not, to a further network.
type NetworkConnectIn struct {
	Network   string `job:"arg"`
	Container string `job:"arg"`
	Endpoint  *network.EndpointSettings
}

// NetworkConnectOut is empty.
type NetworkConnectOut struct{}

// NetworkDisconnectIn takes a container from a network. Force also if the container is not known.
type NetworkDisconnectIn struct {
	Network   string `job:"arg"`
	Container string `job:"arg"`
	Force     bool
}

// NetworkDisconnectOut is empty.
type NetworkDisconnectOut struct{}
