package native

import (
	"context"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
)

// Update implements execdriver.Updater.
func (d *Driver) Update(_ context.Context, id string, limits *specs.LinuxResources) error {
	c, err := d.load(id)
	if err != nil {
		return err
	}
	if status, err := c.Status(); err != nil {
		return err
	} else if status == libcontainer.Stopped {
		return execdriver.ErrNotRunning
	}
	config := c.Config()
	// The copy shares what pointers lead to, and must not change if Set fails.
	group, r := *config.Cgroups, *config.Cgroups.Resources
	changeMemory(&r, limits.Memory)
	changeCPU(&r, limits.CPU)
	if p := limits.Pids; p != nil && p.Limit != nil {
		r.PidsLimit = p.Limit
	}
	changeBlockIO(&r, limits.BlockIO)
	r.SkipDevices = true // they are as they are
	group.Resources, config.Cgroups = &r, &group
	return classify(c.Set(config))
}

// set changes what is said.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

func changeMemory(r *cgroups.Resources, m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	set(&r.Memory, m.Limit)
	set(&r.MemoryReservation, m.Reservation)
	set(&r.MemorySwap, m.Swap)
	set(&r.MemoryCheckBeforeUpdate, m.CheckBeforeUpdate)
}

func changeCPU(r *cgroups.Resources, c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	if c.Shares != nil {
		r.CpuShares = *c.Shares
		r.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
	}
	set(&r.CpuQuota, c.Quota)
	set(&r.CpuPeriod, c.Period)
	set(&r.CpuRtRuntime, c.RealtimeRuntime)
	set(&r.CpuRtPeriod, c.RealtimePeriod)
	if c.Cpus != "" {
		r.CpusetCpus = c.Cpus
	}
	if c.Mems != "" {
		r.CpusetMems = c.Mems
	}
}

func changeBlockIO(r *cgroups.Resources, io *specs.LinuxBlockIO) {
	if io == nil {
		return
	}
	set(&r.BlkioWeight, io.Weight)
	if len(io.WeightDevice) > 0 {
		r.BlkioWeightDevice = nil
		for _, d := range io.WeightDevice {
			r.BlkioWeightDevice = append(r.BlkioWeightDevice, cgroups.NewWeightDevice(d.Major, d.Minor, *d.Weight, 0))
		}
	}
	for _, l := range []struct {
		from []specs.LinuxThrottleDevice
		to   *[]*cgroups.ThrottleDevice
	}{
		{io.ThrottleReadBpsDevice, &r.BlkioThrottleReadBpsDevice},
		{io.ThrottleWriteBpsDevice, &r.BlkioThrottleWriteBpsDevice},
		{io.ThrottleReadIOPSDevice, &r.BlkioThrottleReadIOPSDevice},
		{io.ThrottleWriteIOPSDevice, &r.BlkioThrottleWriteIOPSDevice},
	} {
		if len(l.from) == 0 {
			continue
		}
		*l.to = nil
		for _, d := range l.from {
			*l.to = append(*l.to, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
		}
	}
}
