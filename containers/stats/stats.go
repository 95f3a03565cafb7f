package stats

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/usage"
)

// Reading is what a container used at a moment, and what the host did until then.
// A zero one is of a container that does not run.
type Reading struct {
	usage.Usage
	SystemCPU  uint64 // nanoseconds of all CPUs
	OnlineCPUs int
	Interfaces map[string]usage.Interface
}

// Response compares a reading with the one before, which may be zero.
// hostMemory is what a container without a limit can use.
func Response(id, name string, now, before Reading, hostMemory uint64) container.StatsResponse {
	r := container.StatsResponse{
		ID: id, Name: name, Read: now.Read, PreRead: before.Read,
		CPUStats: cpu(now), PreCPUStats: cpu(before),
	}
	if now.Read.IsZero() {
		return r
	}
	r.OSType = "linux"
	r.PidsStats = container.PidsStats(now.Pids)
	r.MemoryStats = container.MemoryStats{
		Usage: now.Memory.Usage, MaxUsage: now.Memory.MaxUsage, Failcnt: now.Memory.Failures, Stats: now.Memory.Stats,
		Limit: min(now.Memory.Limit, hostMemory),
	}
	r.BlkioStats.IoServiceBytesRecursive = entries(now.BlockIO.Bytes)
	r.BlkioStats.IoServicedRecursive = entries(now.BlockIO.Operations)
	for name, i := range now.Interfaces {
		if r.Networks == nil {
			r.Networks = map[string]container.NetworkStats{}
		}
		r.Networks[name] = container.NetworkStats{
			RxBytes: i.RxBytes, RxPackets: i.RxPackets, RxErrors: i.RxErrors, RxDropped: i.RxDropped,
			TxBytes: i.TxBytes, TxPackets: i.TxPackets, TxErrors: i.TxErrors, TxDropped: i.TxDropped,
		}
	}
	return r
}

func cpu(r Reading) container.CPUStats {
	return container.CPUStats{
		CPUUsage: container.CPUUsage{
			TotalUsage: r.CPU.Total, PercpuUsage: r.CPU.PerCPU, UsageInKernelmode: r.CPU.Kernel, UsageInUsermode: r.CPU.User,
		},
		SystemUsage: r.SystemCPU, OnlineCPUs: uint32(r.OnlineCPUs),
		ThrottlingData: container.ThrottlingData{
			Periods: r.CPU.Periods, ThrottledPeriods: r.CPU.ThrottledPeriods, ThrottledTime: r.CPU.ThrottledTime,
		},
	}
}

// entries is never nil for a container that runs, as docker's is not.
func entries(list []usage.BlockIOEntry) []container.BlkioStatEntry {
	out := []container.BlkioStatEntry{}
	for _, e := range list {
		out = append(out, container.BlkioStatEntry(e))
	}
	return out
}
