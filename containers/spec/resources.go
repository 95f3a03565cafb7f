package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpuPeriod is in microseconds, what NanoCPUs are counted in.
const cpuPeriod = 100000

func (in *Input) resources() (*specs.LinuxResources, error) {
	rules, err := in.deviceRules()
	if err != nil {
		return nil, err
	}
	return &specs.LinuxResources{
		Devices: rules, Memory: in.memory(), CPU: in.cpu(), Pids: in.pids(), BlockIO: in.blockIO(),
	}, nil
}

func (in *Input) memory() *specs.LinuxMemory {
	r := &in.HostConfig.Resources
	m := &specs.LinuxMemory{}
	if r.Memory > 0 {
		m.Limit = ptr(r.Memory)
	}
	if r.MemoryReservation > 0 {
		m.Reservation = ptr(r.MemoryReservation)
	}
	if r.MemorySwap != 0 {
		m.Swap = ptr(r.MemorySwap)
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

func (in *Input) cpu() *specs.LinuxCPU {
	r := &in.HostConfig.Resources
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
		c.Quota = ptr(r.CPUQuota)
	}
	if *c == (specs.LinuxCPU{}) {
		return nil
	}
	return c
}

// pids: the API's 0 and -1 are no limit, which in the spec is no entry.
func (in *Input) pids() *specs.LinuxPids {
	if n := in.HostConfig.PidsLimit; n != nil && *n > 0 {
		return &specs.LinuxPids{Limit: ptr(*n)}
	}
	return nil
}

func (in *Input) blockIO() *specs.LinuxBlockIO {
	if w := in.HostConfig.BlkioWeight; w > 0 {
		return &specs.LinuxBlockIO{Weight: ptr(w)}
	}
	return nil
}
