package request

import (
	"slices"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/errs"
)

// CheckUpdate checks a change of a container's limits and policy, whatever the
// container, as create would. Errors are of the class invalid.
func (rules *Rules) CheckUpdate(r *container.Resources, policy *container.RestartPolicy) (warnings []string, err error) {
	if policy != nil {
		if err := checkPolicy(*policy, false); err != nil {
			return nil, err
		}
	}
	return rules.checkResources(r, true)
}

// Merge gives a container's limits and policy as a change makes them. What is
// zero in the change stays; limits that cannot be changed while a container
// lives are passed over, as docker does. Errors are of the class conflict.
func Merge(hc *container.HostConfig, change *container.Resources, policy *container.RestartPolicy) (*container.HostConfig, error) {
	merged := *hc
	r := &merged.Resources
	switch {
	case change.NanoCPUs > 0 && r.CPUPeriod > 0:
		return nil, errs.Conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
	case change.NanoCPUs > 0 && r.CPUQuota > 0:
		return nil, errs.Conflict("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
	case change.CPUPeriod > 0 && r.NanoCPUs > 0:
		return nil, errs.Conflict("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
	case change.CPUQuota > 0 && r.NanoCPUs > 0:
		return nil, errs.Conflict("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
	// -1, no limit, is the smallest number: docker wants the swap to be said then, too.
	case change.Memory != 0 && change.Memory > r.MemorySwap && change.MemorySwap == 0:
		return nil, errs.Conflict("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
	case policy != nil && hc.AutoRemove && !policy.IsNone():
		return nil, errs.Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
	}
	set(&r.BlkioWeight, change.BlkioWeight)
	set(&r.CPUShares, change.CPUShares)
	set(&r.NanoCPUs, change.NanoCPUs)
	set(&r.CPUPeriod, change.CPUPeriod)
	set(&r.CPUQuota, change.CPUQuota)
	set(&r.CPURealtimePeriod, change.CPURealtimePeriod)
	set(&r.CPURealtimeRuntime, change.CPURealtimeRuntime)
	set(&r.CpusetCpus, change.CpusetCpus)
	set(&r.CpusetMems, change.CpusetMems)
	set(&r.Memory, change.Memory)
	set(&r.MemorySwap, change.MemorySwap)
	set(&r.MemoryReservation, change.MemoryReservation)
	setList(&r.BlkioWeightDevice, change.BlkioWeightDevice)
	setList(&r.BlkioDeviceReadBps, change.BlkioDeviceReadBps)
	setList(&r.BlkioDeviceWriteBps, change.BlkioDeviceWriteBps)
	setList(&r.BlkioDeviceReadIOps, change.BlkioDeviceReadIOps)
	setList(&r.BlkioDeviceWriteIOps, change.BlkioDeviceWriteIOps)
	if change.PidsLimit != nil {
		n := max(*change.PidsLimit, 0) // 0 and -1 are both no limit
		r.PidsLimit = &n
	}
	if policy != nil {
		merged.RestartPolicy = *policy
	}
	if r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory {
		return nil, errs.Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	}
	return &merged, nil
}

// set changes what was said.
func set[T comparable](to *T, value T) {
	var unsaid T
	if value != unsaid {
		*to = value
	}
}

func setList[T any](to *[]T, value []T) {
	if len(value) > 0 {
		*to = slices.Clone(value)
	}
}
