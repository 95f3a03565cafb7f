package request

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/errs"
)

// unsupported refuses options that this version does not have, each by its
// name: what is asked for and silently left out would be worse than nothing.
func unsupported(hc *container.HostConfig) error {
	r := &hc.Resources
	for _, o := range []struct {
		used bool
		name string
	}{
		{hc.Cgroup != "", "Cgroup"},
		{len(hc.VolumesFrom) > 0, "VolumesFrom (--volumes-from)"},
		{hc.VolumeDriver != "" && hc.VolumeDriver != "local", "VolumeDriver (--volume-driver)"},
		{len(hc.Links) > 0, "Links (--link)"},
		{len(r.BlkioWeightDevice) > 0, "BlkioWeightDevice (--blkio-weight-device)"},
		{len(r.BlkioDeviceReadBps) > 0, "BlkioDeviceReadBps (--device-read-bps)"},
		{len(r.BlkioDeviceWriteBps) > 0, "BlkioDeviceWriteBps (--device-write-bps)"},
		{len(r.BlkioDeviceReadIOps) > 0, "BlkioDeviceReadIOps (--device-read-iops)"},
		{len(r.BlkioDeviceWriteIOps) > 0, "BlkioDeviceWriteIOps (--device-write-iops)"},
		{r.CPURealtimePeriod != 0, "CpuRealtimePeriod (--cpu-rt-period)"},
		{r.CPURealtimeRuntime != 0, "CpuRealtimeRuntime (--cpu-rt-runtime)"},
		{r.CPUCount != 0, "CpuCount (--cpu-count)"},
		{r.CPUPercent != 0, "CpuPercent (--cpu-percent)"},
		{r.IOMaximumIOps != 0, "IOMaximumIOps (--io-maxiops)"},
		{r.IOMaximumBandwidth != 0, "IOMaximumBandwidth (--io-maxbandwidth)"},
	} {
		if o.used {
			return errs.NotImplemented("%s is not supported yet in this version", o.name)
		}
	}
	return nil
}
