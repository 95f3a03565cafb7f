// Greeter is an engine of a third party: ours, with a job, a graph driver, an
// exec driver, a network driver and a client command of its own.
//
//	go build -o greeter ./docs/examples/greeter
//	greeter -d -s counting -e announcing        # the daemon
//	greeter greet Ada                           # the client
//	greeter network create -d crowded -o room=2 small
package main

import (
	"os"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/client"
	"github.com/jobengine/engine/daemon"
	"github.com/jobengine/engine/engine"
)

func main() {
	set := builtins.Default()
	set.Graph.Add("counting", newCounting)
	set.Exec.Add("announcing", newAnnouncing)
	set.Network.Add("crowded", newCrowded)
	set.Jobs.Add("greet", func(eng *engine.Engine) { Greet.Register(eng, greet) })

	set.Role()
	if daemon.Wanted(os.Args[1:]) {
		os.Exit(daemon.Main(set, os.Args[1:]))
	}
	os.Exit(client.Main(os.Args[1:], client.With(Greetings{})))
}
