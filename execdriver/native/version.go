package native

import "runtime/debug"

// libcontainerVersion is the version of the runc module that is linked in.
func libcontainerVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/opencontainers/runc" {
			return m.Version
		}
	}
	return "unknown"
}
