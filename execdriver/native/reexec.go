package native

import (
	"os"

	_ "github.com/opencontainers/cgroups/devices" // without it the cgroup managers refuse device rules
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // C constructor: joins namespaces before Go's threads exist
)

// The one init function with an effect in this repository. libcontainer starts
// each container by executing the running program again as `NAME init`, and this
// must be answered before main and before anybody's flags: the process is
// already inside the container's namespaces, and whatever runs first there runs
// in every container start. The environment variable tells it from a user who
// types `engine init`.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITPIPE") != "" {
		libcontainer.Init()
	}
}
