package spec

import (
	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// cpuPeriod is in microseconds, what NanoCPUs are counted in.
const cpuPeriod = 100000

func (in *Input) resources() (*specs.LinuxResources, error) {
	rules, err := in.deviceRules()
	if err != nil {
		return nil, err
	}
	limits, err := Limits(&in.HostConfig.Resources, in.PidsBound)
	if err != nil {
		return nil, err
	}
	limits.Devices = rules
	return limits, nil
}

// Limits are what a container may use. pidsBound is how many processes it may
// have where it has no limit of its own; 0 is any number. Devices must be there.
func Limits(r *container.Resources, pidsBound int64) (*specs.LinuxResources, error) {
	io, err := blockIO(r)
	if err != nil {
		return nil, err
	}
	return &specs.LinuxResources{Memory: memory(r), CPU: cpu(r), Pids: pids(r, pidsBound), BlockIO: io}, nil
}

// Changes are limits for a container that runs: where something is not limited
// any more they say so, and a memory limit that cannot be kept is to be refused.
func Changes(r *container.Resources, pidsBound int64) (*specs.LinuxResources, error) {
	limits, err := Limits(r, pidsBound)
	if err != nil {
		return nil, err
	}
	if limits.Pids == nil && r.PidsLimit != nil {
		limits.Pids = &specs.LinuxPids{Limit: ptr(int64(-1))}
	}
	if limits.Memory != nil {
		limits.Memory.CheckBeforeUpdate = ptr(true)
	}
	return limits, nil
}

func memory(r *container.Resources) *specs.LinuxMemory {
	m := &specs.LinuxMemory{}
	if r.Memory > 0 {
		m.Limit = ptr(r.Memory)
	}
	if r.MemoryReservation > 0 {
		m.Reservation = ptr(r.MemoryReservation)
	}
	if r.MemorySwap != 0 {
		m.Swap = ptr(max(r.MemorySwap, -1)) // any number below 0 is no limit
	}
	if r.MemorySwappiness != nil && *r.MemorySwappiness >= 0 {
		m.Swappiness = ptr(uint64(*r.MemorySwappiness))
	}
	if r.OomKillDisable != nil && *r.OomKillDisable {
		m.DisableOOMKiller = ptr(true)
	}
	if *m == (specs.LinuxMemory{}) {
		return nil
	}
	return m
}

func cpu(r *container.Resources) *specs.LinuxCPU {
	c := &specs.LinuxCPU{Cpus: r.CpusetCpus, Mems: r.CpusetMems}
	if r.CPUShares > 0 {
		c.Shares = ptr(uint64(r.CPUShares))
	}
	if r.NanoCPUs > 0 {
		c.Period = ptr(uint64(cpuPeriod))
		c.Quota = ptr(r.NanoCPUs * cpuPeriod / 1e9)
	}
	if r.CPUPeriod > 0 {
		c.Period = ptr(uint64(r.CPUPeriod))
	}
	if r.CPUQuota != 0 {
		c.Quota = ptr(max(r.CPUQuota, -1))
	}
	if r.CPURealtimePeriod > 0 {
		c.RealtimePeriod = ptr(uint64(r.CPURealtimePeriod))
	}
	if r.CPURealtimeRuntime > 0 {
		c.RealtimeRuntime = ptr(r.CPURealtimeRuntime)
	}
	if *c == (specs.LinuxCPU{}) {
		return nil
	}
	return c
}

// pids: the API's 0 and -1 are no limit, which in the spec is no entry.
func pids(r *container.Resources, bound int64) *specs.LinuxPids {
	if n := r.PidsLimit; n != nil && *n > 0 {
		return &specs.LinuxPids{Limit: ptr(*n)}
	}
	if bound > 0 {
		return &specs.LinuxPids{Limit: ptr(bound)}
	}
	return nil
}

func blockIO(r *container.Resources) (*specs.LinuxBlockIO, error) {
	io := &specs.LinuxBlockIO{}
	if w := r.BlkioWeight; w > 0 {
		io.Weight = ptr(w)
	}
	for _, d := range r.BlkioWeightDevice {
		major, minor, err := blockDevice(d.Path)
		if err != nil {
			return nil, err
		}
		w := specs.LinuxWeightDevice{Weight: ptr(d.Weight)}
		w.Major, w.Minor = major, minor
		io.WeightDevice = append(io.WeightDevice, w)
	}
	for _, rates := range []struct {
		wanted []*blkiodev.ThrottleDevice
		to     *[]specs.LinuxThrottleDevice
	}{
		{r.BlkioDeviceReadBps, &io.ThrottleReadBpsDevice},
		{r.BlkioDeviceWriteBps, &io.ThrottleWriteBpsDevice},
		{r.BlkioDeviceReadIOps, &io.ThrottleReadIOPSDevice},
		{r.BlkioDeviceWriteIOps, &io.ThrottleWriteIOPSDevice},
	} {
		for _, d := range rates.wanted {
			major, minor, err := blockDevice(d.Path)
			if err != nil {
				return nil, err
			}
			t := specs.LinuxThrottleDevice{Rate: d.Rate}
			t.Major, t.Minor = major, minor
			*rates.to = append(*rates.to, t)
		}
	}
	if io.Weight == nil && len(io.WeightDevice)+len(io.ThrottleReadBpsDevice)+len(io.ThrottleWriteBpsDevice)+len(io.ThrottleReadIOPSDevice)+len(io.ThrottleWriteIOPSDevice) == 0 {
		return nil, nil
	}
	return io, nil
}

// blockDevice finds the number of a disk of the host by its path.
func blockDevice(path string) (major, minor int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, errs.Invalid("stat %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, errs.Invalid("%s is not a block device", path)
	}
	return int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev))), nil
}
