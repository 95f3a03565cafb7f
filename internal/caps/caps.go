// Package caps knows Linux capabilities by name and computes the set of a
// container from what is added and dropped.
package caps

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/syndtr/gocapability/capability"
)

// all says every capability where a list of names is expected.
const all = "ALL"

// Default is the set of a container that asks for nothing: Docker's fourteen.
func Default() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// known are the names that the kernel's headers have, in their order.
var known = sync.OnceValue(func() []string {
	var names []string
	for _, c := range capability.List() {
		names = append(names, "CAP_"+strings.ToUpper(c.String()))
	}
	return names
})

// Available are the capabilities that this process may give away: those in its
// bounding and permitted sets. An engine in a container may lack some.
var Available = sync.OnceValue(func() []string {
	own, err := capability.NewPid2(0)
	if err == nil {
		err = own.Load()
	}
	if err != nil {
		return known()
	}
	var names []string
	for i, c := range capability.List() {
		if own.Get(capability.PERMITTED, c) && own.Get(capability.BOUNDING, c) {
			names = append(names, known()[i])
		}
	}
	return names
})

// Normalize turns user's names (any case, with or without CAP_) into the
// kernel's. ALL stays ALL. Unknown names are an error.
func Normalize(names []string) ([]string, error) {
	var list []string
	for _, n := range names {
		up := strings.ToUpper(n)
		if up != all && !strings.HasPrefix(up, "CAP_") {
			up = "CAP_" + up
		}
		if up == "CAP_"+all {
			up = all
		}
		if up != all && !slices.Contains(known(), up) {
			return nil, fmt.Errorf("unknown capability: %q", up)
		}
		list = append(list, up)
	}
	return list, nil
}

// Tweak computes the set of a container: base with some added and dropped, as
// Normalize gives them, out of those available. ALL in add stands for all that
// are available; ALL in drop drops the base, but not what add names.
func Tweak(base, add, drop, available []string) []string {
	var set []string
	switch {
	case slices.Contains(add, all):
		set = slices.Clone(available)
		set = slices.DeleteFunc(set, func(c string) bool { return slices.Contains(drop, c) })
		if !slices.Contains(drop, all) {
			return set
		}
		set = nil
	case slices.Contains(drop, all):
	default:
		set = slices.DeleteFunc(slices.Clone(base), func(c string) bool { return slices.Contains(drop, c) })
	}
	for _, c := range add {
		if c != all && !slices.Contains(set, c) {
			set = append(set, c)
		}
	}
	return slices.DeleteFunc(set, func(c string) bool { return !slices.Contains(available, c) })
}
