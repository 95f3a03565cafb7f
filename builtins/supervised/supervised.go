// Package supervised is the list of exec drivers that a supervisor offers. It is
// apart from builtins so that the supervisor's small program links nothing else.
package supervised

import (
	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/native"
	"github.com/jobengine/engine/execdriver/oci"
)

// Drivers lists the exec drivers by name. A third party adds its own to the map
// before it calls supervisor.Main.
func Drivers() map[string]execdriver.New {
	return map[string]execdriver.New{
		"native": native.New,
		"oci":    oci.New,
	}
}
