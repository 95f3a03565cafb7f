package native

import (
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/netpool"
)

// preparedNetworks is how many network namespaces wait for containers. Each is
// some hundred kilobytes in the kernel.
const preparedNetworks = 2

// refillPause keeps the making of the next namespaces out of the way of the
// start that has just used one.
const refillPause = 20 * time.Millisecond

// prepared gives a container that wants an empty network one of those that are
// ready, if one is. What it returns is called when the container is made, or
// cannot be made.
func (d *Driver) prepared(spec *specs.Spec) func() {
	if spec.Linux == nil {
		return func() {}
	}
	at := slices.IndexFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.NetworkNamespace && n.Path == ""
	})
	// With a user namespace the network has to belong to that.
	own := slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace })
	if at < 0 || own {
		return func() {}
	}
	done := func() { time.AfterFunc(refillPause, d.nets.Refill) }
	ns := d.nets.Take()
	if ns == nil {
		return done
	}
	linux := *spec.Linux
	linux.Namespaces = slices.Clone(linux.Namespaces)
	linux.Namespaces[at].Path = netpool.Path(ns)
	spec.Linux = &linux
	return func() {
		ns.Close() // the container is in it, or nobody is
		done()
	}
}
