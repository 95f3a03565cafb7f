package spec

import (
	"maps"
	"slices"
	"strings"
)

// Annotations that runtimes take for orders: properties of the systemd unit
// (any, so also programs to run), and crun's and runc's own settings. A
// container's options say what it may do, and these would say it once more.
var orders = []string{"org.systemd.property.", "run.oci.", "org.criu.", "module.wasm.", "io.podman."}

// WithheldAnnotations are those that are kept with the container but not handed to its runtime.
func WithheldAnnotations(all map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if slices.ContainsFunc(orders, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			names = append(names, name)
		}
	}
	return names
}

func (in *Input) annotations() map[string]string {
	handed := maps.Clone(in.HostConfig.Annotations)
	for _, name := range WithheldAnnotations(handed) {
		delete(handed, name)
	}
	return handed
}
