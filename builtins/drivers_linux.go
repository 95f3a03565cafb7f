package builtins

import (
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/overlay2"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge"
	"github.com/jobengine/engine/networkdriver/host"
	"github.com/jobengine/engine/networkdriver/macvlan"
	"github.com/jobengine/engine/networkdriver/null"
)

// addGraphDrivers lists our graph drivers, the best first. The exec drivers
// are in builtins/supervised.
func addGraphDrivers(r *Registry[graphdriver.New]) {
	r.Add("overlay2", overlay2.New)
	r.Add("vfs", vfs.New)
}

// addNetworkDrivers lists our network drivers.
func addNetworkDrivers(r *Registry[networkdriver.New]) {
	r.Add("bridge", bridge.New)
	r.Add("host", host.New)
	r.Add("macvlan", macvlan.New)
	r.Add("null", null.New)
}
