// Engine is a container engine for one Linux host that speaks the Docker
// Engine API. `engine -d` is the daemon, everything else is its client.
package main

import (
	"os"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/client"
	"github.com/jobengine/engine/daemon"
)

func main() {
	// What is plugged in: drivers and jobs. A third party's main adds its own here.
	set := builtins.Default()

	// The daemon starts this very program again as the parent of all
	// containers, when it has no smaller one for that. Then this does not return.
	set.Role()

	// `engine -d` is the daemon: it makes an engine, installs the set, and
	// serves the API until it is told to stop.
	if daemon.Wanted(os.Args[1:]) {
		os.Exit(daemon.Main(set, os.Args[1:]))
	}

	// Anything else is a command, found by reflection and sent to the daemon.
	os.Exit(client.Main(os.Args[1:]))
}
