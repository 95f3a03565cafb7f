// Command engine-supervisor is the supervisor as a program of its own: small,
// because a copy of it runs in the first moments of every container.
package main

import (
	"os"
	"runtime"

	"github.com/jobengine/engine/builtins/supervised"
	"github.com/jobengine/engine/supervisor"
)

// The main goroutine stays on the first thread. Threads that enter a container's
// namespaces are thrown away afterwards, which Go does with all but the first.
func init() { runtime.LockOSThread() }

func main() {
	os.Exit(supervisor.Main(os.Args[1:], supervised.Drivers()))
}
