package runconfig

import (
	"github.com/moby/moby/api/types/container"
	"github.com/spf13/pflag"
)

// Update collects the flags of update.
type Update struct {
	resources container.Resources
	restart   string
	pids      int64
	flags     *pflag.FlagSet
}

// AddUpdate declares the flags of update.
func AddUpdate(f *pflag.FlagSet) *Update {
	u := &Update{flags: f}
	r := &u.resources
	f.Uint16Var(&r.BlkioWeight, "blkio-weight", 0, "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)")
	f.Int64Var(&r.CPUPeriod, "cpu-period", 0, "Limit CPU CFS (Completely Fair Scheduler) period")
	f.Int64Var(&r.CPUQuota, "cpu-quota", 0, "Limit CPU CFS (Completely Fair Scheduler) quota")
	f.Int64Var(&r.CPURealtimePeriod, "cpu-rt-period", 0, "Limit the CPU real-time period in microseconds")
	f.Int64Var(&r.CPURealtimeRuntime, "cpu-rt-runtime", 0, "Limit the CPU real-time runtime in microseconds")
	f.Int64VarP(&r.CPUShares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	f.Var(cpus{&r.NanoCPUs}, "cpus", "Number of CPUs")
	f.StringVar(&r.CpusetCpus, "cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)")
	f.StringVar(&r.CpusetMems, "cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)")
	f.VarP(amount{n: &r.Memory}, "memory", "m", "Memory limit")
	f.Var(amount{n: &r.MemoryReservation}, "memory-reservation", "Memory soft limit")
	f.Var(amount{&r.MemorySwap, true}, "memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap")
	f.Int64Var(&u.pids, "pids-limit", 0, "Tune container pids limit (set -1 for unlimited)")
	f.StringVar(&u.restart, "restart", "", "Restart policy to apply when a container exits")
	f.Var(amount{n: new(int64)}, "kernel-memory", "Kernel memory limit (deprecated)")
	f.MarkDeprecated("kernel-memory", "and no longer supported by the kernel")
	return u
}

// Finish gives what the flags ask for; nothing says that none was given.
func (u *Update) Finish() (config container.UpdateConfig, nothing bool, err error) {
	if u.flags.NFlag() == 0 {
		return config, true, nil
	}
	config.Resources = u.resources
	if u.flags.Changed("pids-limit") {
		config.PidsLimit = &u.pids
	}
	if u.restart != "" {
		config.RestartPolicy, err = parseRestart(u.restart)
	}
	return config, false, err
}
