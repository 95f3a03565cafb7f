package builtins

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/jobengine/engine/builtins/supervised"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/logs/driver"
	"github.com/jobengine/engine/logs/jsonfile"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/server"
	"github.com/jobengine/engine/supervisor"
	"github.com/jobengine/engine/supervisor/protocol"
)

// Set is what is plugged into one engine.
type Set struct {
	Exec    *Registry[execdriver.New]
	Graph   *Registry[graphdriver.New] // tried in this order when none is asked for
	Network *Registry[networkdriver.New]
	Logs    *Registry[driver.Open] // log drivers whose logs can be read
	Jobs    *Registry[func(eng *engine.Engine)]

	server *server.Server // once it is installed
	sealed []string       // names of the exec drivers that the embedded supervisor has
	reload atomic.Pointer[func(Config) error]
}

// Default is the set of a plain engine.
func Default() *Set {
	set := &Set{
		Exec:    newRegistry[execdriver.New]("exec driver"),
		Graph:   newRegistry[graphdriver.New]("graph driver"),
		Network: newRegistry[networkdriver.New]("network driver"),
		Logs:    newRegistry[driver.Open]("log driver"),
		Jobs:    newRegistry[func(*engine.Engine)]("jobs"),
	}
	drivers := supervised.Drivers()
	for _, name := range slices.Sorted(maps.Keys(drivers)) {
		set.Exec.Add(name, drivers[name])
	}
	set.sealed = set.Exec.Names()
	addGraphDrivers(set.Graph)
	addNetworkDrivers(set.Network)
	set.Logs.Add("json-file", jsonfile.Open)
	return set
}

// Role takes the part of another program, if this process was started to do
// so, and does not return then. It is the first thing that a main does.
func (set *Set) Role() {
	if filepath.Base(os.Args[0]) == protocol.Name {
		os.Exit(supervisor.Main(os.Args[1:], set.Exec.items))
	}
}
