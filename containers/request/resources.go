package request

import (
	"math"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/errs"
)

const (
	// minMemory is what a container must have to start: 6 MiB.
	minMemory = 6 << 20
	// maxPids is PID_MAX_LIMIT of the kernel; pids.max takes nothing above it.
	maxPids = 1 << 22
	// The kernel's bounds of cpu.shares.
	minShares, maxShares = 2, 1 << 18
	// maxCPUs is how many CPUs or memory nodes a list may speak of, as docker has it.
	maxCPUs = 8192
)

// checkResources checks limits, in docker's words. What the host cannot do is
// taken out of r and told as a warning. update says that r changes a container
// that is there: what r leaves out stays as it is.
func (rules *Rules) checkResources(r *container.Resources, update bool) (warnings []string, err error) {
	for _, check := range []func(*container.Resources, bool) ([]string, error){
		rules.checkMemory, rules.checkCPU, rules.checkCpusets, rules.checkBlockIO,
	} {
		w, err := check(r, update)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, w...)
	}
	if err := cgroupnames.CheckParent(rules.CgroupDriver, r.CgroupParent); err != nil {
		return nil, err
	}
	return warnings, checkUlimits(r.Ulimits)
}

func (rules *Rules) checkMemory(r *container.Resources, update bool) (warnings []string, err error) {
	host := rules.Host.Cgroup
	if r.MemorySwappiness != nil && *r.MemorySwappiness == -1 {
		r.MemorySwappiness = nil
	}
	if r.Memory != 0 && r.Memory < minMemory {
		return nil, errs.Invalid("Minimum memory limit allowed is 6MB")
	}
	if r.Memory > 0 && !host.Memory {
		warnings = append(warnings, "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.")
		r.Memory, r.MemorySwap = 0, -1
	}
	if r.Memory > 0 && r.MemorySwap >= 0 && !host.Swap {
		warnings = append(warnings, "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.")
		r.MemorySwap = -1
	}
	if r.MemorySwappiness != nil && !host.Swappiness {
		warnings = append(warnings, "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.")
		r.MemorySwappiness = nil
	}
	switch {
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return nil, errs.Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory == 0 && r.MemorySwap > 0 && !update:
		return nil, errs.Invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemorySwappiness != nil && (*r.MemorySwappiness < 0 || *r.MemorySwappiness > 100):
		return nil, errs.Invalid("Invalid value: %d, valid memory swappiness range is 0-100", *r.MemorySwappiness)
	}
	if r.MemoryReservation > 0 && !host.Reservation {
		warnings = append(warnings, "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.")
		r.MemoryReservation = 0
	}
	switch {
	case r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return nil, errs.Invalid("Minimum memory reservation allowed is 6MB")
	case r.Memory > 0 && r.MemoryReservation > r.Memory:
		return nil, errs.Invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
	}
	if r.OomKillDisable != nil && !host.OOMKillDisable {
		if *r.OomKillDisable {
			warnings = append(warnings, "Your kernel does not support OomKillDisable. OomKillDisable discarded.")
		}
		r.OomKillDisable = nil
	}
	if r.OomKillDisable != nil && *r.OomKillDisable && r.Memory == 0 {
		warnings = append(warnings, "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.")
	}
	return warnings, nil
}

// swapFor is how much memory and swap together a container may have for which
// only memory was limited: twice as much. -1 is no limit.
func swapFor(memory int64) int64 {
	if memory > math.MaxInt64/2 {
		return -1
	}
	return 2 * memory
}

func (rules *Rules) checkCPU(r *container.Resources, _ bool) (warnings []string, err error) {
	host, cpus := rules.Host.Cgroup, rules.Host.CPUs
	if r.PidsLimit != nil && !host.Pids {
		if *r.PidsLimit > 0 {
			warnings = append(warnings, "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.")
		}
		r.PidsLimit = nil
	}
	switch {
	case r.PidsLimit != nil && *r.PidsLimit > maxPids:
		return nil, errs.Invalid("invalid PidsLimit %d: the kernel takes up to %d", *r.PidsLimit, maxPids)
	case r.NanoCPUs > 0 && r.CPUPeriod > 0:
		return nil, errs.Invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCPUs > 0 && r.CPUQuota > 0:
		return nil, errs.Invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.NanoCPUs > 0 && !host.CPUQuota:
		return nil, errs.Invalid("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted")
	case r.NanoCPUs < 0 || r.NanoCPUs > 0 && r.NanoCPUs < 1e7 || r.NanoCPUs > int64(cpus)*1e9:
		return nil, errs.Invalid("Range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", cpus, cpus)
	}
	if r.CPUShares > 0 && !host.CPUShares {
		warnings = append(warnings, "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.")
		r.CPUShares = 0
	}
	if (r.CPUPeriod != 0 || r.CPUQuota != 0) && !host.CPUQuota {
		warnings = append(warnings, "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.")
		r.CPUPeriod, r.CPUQuota = 0, 0
	}
	switch {
	case r.CPUShares < 0:
		return nil, errs.Invalid("invalid CPU shares (%d): value must be a positive integer", r.CPUShares)
	case r.CPUShares > 0 && r.CPUShares < minShares:
		return nil, errs.Invalid("invalid CPU shares (%d): the minimum allowed cpu-shares is %d", r.CPUShares, minShares)
	case r.CPUShares > maxShares:
		return nil, errs.Invalid("invalid CPU shares (%d): the maximum allowed cpu-shares is %d", r.CPUShares, maxShares)
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000):
		return nil, errs.Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CPUQuota > 0 && r.CPUQuota < 1000:
		return nil, errs.Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case r.CPURealtimePeriod < 0 || r.CPURealtimeRuntime < 0:
		return nil, errs.Invalid("invalid CPU real-time period (%d) or runtime (%d): value must be a positive integer", r.CPURealtimePeriod, r.CPURealtimeRuntime)
	case (r.CPURealtimePeriod != 0 || r.CPURealtimeRuntime != 0) && !host.CPURealtime:
		return nil, errs.Invalid("Your kernel does not support CPU real-time scheduler")
	case r.CPURealtimePeriod != 0 && r.CPURealtimeRuntime > r.CPURealtimePeriod:
		return nil, errs.Invalid("cpu real-time runtime cannot be higher than cpu real-time period")
	}
	if r.CPUPercent > 0 {
		warnings = append(warnings, "linux does not support CPU percent. Percent discarded.")
		r.CPUPercent = 0
	}
	return warnings, nil
}

func (rules *Rules) checkCpusets(r *container.Resources, _ bool) (warnings []string, err error) {
	host := rules.Host.Cgroup
	if (r.CpusetCpus != "" || r.CpusetMems != "") && !host.CPUSet {
		warnings = append(warnings, "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.")
		r.CpusetCpus, r.CpusetMems = "", ""
	}
	if err := checkCPUs("cpus", "CPUs", r.CpusetCpus, host.CPUs); err != nil {
		return nil, err
	}
	return warnings, checkCPUs("mems", "memory nodes", r.CpusetMems, host.Mems)
}

// span is a part of a list such as 0-2,7.
type span struct{ first, last int }

// parseSpans reads such a list without ever spelling it out.
func parseSpans(list string) (spans []span, tooHigh, ok bool) {
	for _, part := range strings.Split(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		first, err := strconv.ParseUint(from, 10, 31)
		last := first
		if err == nil && ranged {
			last, err = strconv.ParseUint(to, 10, 31)
		}
		if err != nil || last < first {
			return nil, false, false
		}
		if last > maxCPUs {
			return nil, true, false
		}
		spans = append(spans, span{int(first), int(last)})
	}
	return spans, false, true
}

// checkCPUs checks a list of CPUs or memory nodes against what there is.
func checkCPUs(what, things, list, available string) error {
	if list == "" {
		return nil
	}
	wanted, tooHigh, ok := parseSpans(list)
	switch {
	case tooHigh:
		return errs.Invalid("Invalid value %s for cpuset %s: value of out range, maximum is %d", list, what, maxCPUs)
	case !ok:
		return errs.Invalid("Invalid value %s for cpuset %s: invalid format: %s", list, what, list)
	}
	has := make([]bool, maxCPUs+1)
	there, _, ok := parseSpans(available)
	if !ok {
		return nil // nobody knows
	}
	for _, s := range there {
		for i := s.first; i <= s.last; i++ {
			has[i] = true
		}
	}
	for _, s := range wanted {
		for i := s.first; i <= s.last; i++ {
			if !has[i] {
				return errs.Invalid("Requested %s are not available - requested %s, available: %s", things, list, available)
			}
		}
	}
	return nil
}

func (rules *Rules) checkBlockIO(r *container.Resources, _ bool) (warnings []string, err error) {
	host := rules.Host.Cgroup
	if r.BlkioWeight > 0 && !host.BlockIOWeight {
		warnings = append(warnings, "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
		r.BlkioWeight = 0
	}
	switch {
	case r.BlkioWeight > 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000):
		return nil, errs.Invalid("Range of blkio weight is from 10 to 1000")
	case r.IOMaximumBandwidth != 0:
		return nil, errs.Invalid("Invalid QoS settings: linux does not support configuration of maximum bandwidth")
	case r.IOMaximumIOps != 0:
		return nil, errs.Invalid("Invalid QoS settings: linux does not support configuration of maximum IOPs")
	}
	for _, d := range r.BlkioWeightDevice {
		if d == nil || d.Path == "" {
			return nil, errs.Invalid("invalid BlkioWeightDevice: it has no path of a device")
		}
		if host.BlockIOWeightDevice && d.Weight != 0 && (d.Weight < 10 || d.Weight > 1000) {
			return nil, errs.Invalid("invalid BlkioWeightDevice %s: range of blkio weight is from 10 to 1000", d.Path)
		}
	}
	if len(r.BlkioWeightDevice) > 0 && !host.BlockIOWeightDevice {
		warnings = append(warnings, "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
		r.BlkioWeightDevice = []*blkiodev.WeightDevice{}
	}
	for _, limit := range []struct {
		name, lost string
		devices    *[]*blkiodev.ThrottleDevice
		can        bool
	}{
		{"BlkioDeviceReadBps", "BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit", &r.BlkioDeviceReadBps, host.BlockIOReadBps},
		{"BlkioDeviceWriteBps", "BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit", &r.BlkioDeviceWriteBps, host.BlockIOWriteBps},
		{"BlkioDeviceReadIOps", "IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit", &r.BlkioDeviceReadIOps, host.BlockIOReadIOps},
		{"BlkioDeviceWriteIOps", "IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit", &r.BlkioDeviceWriteIOps, host.BlockIOWriteIOps},
	} {
		for _, d := range *limit.devices {
			if d == nil || d.Path == "" {
				return nil, errs.Invalid("invalid %s: it has no path of a device", limit.name)
			}
		}
		if len(*limit.devices) > 0 && !limit.can {
			warnings = append(warnings, "Your kernel does not support "+limit.lost+" discarded.")
			*limit.devices = []*blkiodev.ThrottleDevice{}
		}
	}
	return warnings, nil
}
