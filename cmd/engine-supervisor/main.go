// Command engine-supervisor is the supervisor as a program of its own: small,
// because a copy of it runs in the first moments of every container.
package main

import (
	"os"

	"github.com/jobengine/engine/builtins/supervised"
	"github.com/jobengine/engine/supervisor"
)

func main() {
	os.Exit(supervisor.Main(os.Args[1:], supervised.Drivers()))
}
