// Package show makes what lists and inspect show of containers, and reads what a list is asked for.
package show

import (
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/state"
)

// Source answers what the filters of a list ask of containers.
type Source interface {
	// Find gives the id of the container that a user means.
	Find(ref string) (id string, err error)
	// Endpoints are the networks that a container is in, by name.
	Endpoints(*state.Snapshot) map[string]*network.EndpointSettings
	// Ports are what it publishes and exposes.
	Ports(*state.Snapshot) network.PortMap
}
