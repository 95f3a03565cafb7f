package request

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/errs"
)

// unsupported refuses options that this version does not have, each by its
// name: what is asked for and silently left out would be worse than nothing.
func unsupported(hc *container.HostConfig) error {
	for _, o := range []struct {
		used bool
		name string
	}{
		{hc.Cgroup != "", "Cgroup"},
		{len(hc.VolumesFrom) > 0, "VolumesFrom (--volumes-from)"},
		{hc.VolumeDriver != "" && hc.VolumeDriver != "local", "VolumeDriver (--volume-driver)"},
	} {
		if o.used {
			return errs.NotImplemented("%s is not supported yet in this version", o.name)
		}
	}
	return nil
}
