package builtins

import (
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/overlay2"
	"github.com/jobengine/engine/graphdriver/vfs"
)

// addGraphDrivers lists our graph drivers, the best first. The exec drivers
// are in builtins/supervised.
func addGraphDrivers(r *Registry[graphdriver.New]) {
	r.Add("overlay2", overlay2.New)
	r.Add("vfs", vfs.New)
}
