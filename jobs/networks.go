package jobs

import (
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs of networks.
var (
	Networks       = engine.Define[NetworksIn, NetworksOut]("networks", engine.Quiet)
	NetworkInspect = engine.Define[NetworkInspectIn, NetworkInspectOut]("network_inspect", engine.Quiet)
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
