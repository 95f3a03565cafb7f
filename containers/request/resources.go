package request

import (
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/errs"
)

// minMemory is what a container must have to start: 6 MiB.
const minMemory = 6 << 20

// checkResources checks limits, in docker's words.
func (rules *Rules) checkResources(r *container.Resources) error {
	switch {
	case r.Memory != 0 && r.Memory < minMemory:
		return errs.Invalid("Minimum memory limit allowed is 6MB")
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return errs.Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory == 0 && r.MemorySwap > 0:
		return errs.Invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemorySwap < -1:
		return errs.Invalid("invalid MemorySwap %d: use -1 for unlimited swap", r.MemorySwap)
	case r.MemorySwappiness != nil && *r.MemorySwappiness != -1 && (*r.MemorySwappiness < 0 || *r.MemorySwappiness > 100):
		return errs.Invalid("Invalid value: %d, valid memory swappiness range is 0-100", *r.MemorySwappiness)
	case r.MemoryReservation != 0 && r.MemoryReservation < minMemory:
		return errs.Invalid("Minimum memory reservation allowed is 6MB")
	case r.Memory > 0 && r.MemoryReservation > r.Memory:
		return errs.Invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
	case r.NanoCPUs > 0 && r.CPUPeriod > 0:
		return errs.Invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCPUs > 0 && r.CPUQuota > 0:
		return errs.Invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.NanoCPUs < 0 || r.NanoCPUs > 0 && r.NanoCPUs < 1e7 || r.NanoCPUs > int64(rules.Host.CPUs)*1e9:
		return errs.Invalid("Range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", rules.Host.CPUs, rules.Host.CPUs)
	case r.CPUShares < 0:
		r.CPUShares = 2 // what docker does with it
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000):
		return errs.Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CPUQuota > 0 && r.CPUQuota < 1000:
		return errs.Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case r.BlkioWeight > 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000):
		return errs.Invalid("Range of blkio weight is from 10 to 1000")
	}
	if err := rules.checkCPUs("cpus", "CPUs", r.CpusetCpus, rules.Host.CPUs); err != nil {
		return err
	}
	if err := rules.checkCPUs("mems", "Memory nodes", r.CpusetMems, 1<<10); err != nil {
		return err
	}
	if err := cgroupnames.CheckParent(rules.CgroupDriver, r.CgroupParent); err != nil {
		return err
	}
	return checkUlimits(r.Ulimits)
}

// checkCPUs checks a list such as 0-2,7 without ever spelling it out.
func (rules *Rules) checkCPUs(what, things, list string, n int) error {
	if list == "" {
		return nil
	}
	for _, part := range strings.Split(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && ranged {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first {
			return errs.Invalid("Invalid value %s for cpuset %s: invalid format: %s", list, what, part)
		}
		if last >= n {
			return errs.Invalid("Requested %s are not available - requested %s, available: 0-%d", things, list, n-1)
		}
	}
	return nil
}
