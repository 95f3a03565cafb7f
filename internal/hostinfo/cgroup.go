package hostinfo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroup tells which hierarchies the host has and what they can limit. On
// cgroup v1 a file in the root of a hierarchy says that a limit is there; on v2,
// where the root has no such files, the controller does.
type Cgroup struct {
	Version        int  // 1 also for hybrid hosts, whose controllers are in v1 hierarchies
	Hybrid         bool // version 1, and the unified hierarchy is mounted beside it
	Memory         bool
	Swap           bool
	Reservation    bool // a soft limit of memory
	Swappiness     bool // of a single group; only v1
	OOMKillDisable bool // only v1
	CPUShares      bool
	CPUQuota       bool
	CPURealtime    bool // only v1, and only kernels with CONFIG_RT_GROUP_SCHED
	CPUSet         bool
	Pids           bool
	BlockIO        bool

	BlockIOWeight       bool
	BlockIOWeightDevice bool
	BlockIOReadBps      bool
	BlockIOWriteBps     bool
	BlockIOReadIOps     bool
	BlockIOWriteIOps    bool

	// CPUs and Mems are what a container may be bound to, such as "0-3,6".
	CPUs, Mems string
}

func readCgroup(root string) Cgroup {
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		controllers, _ := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
		return cgroup2(root, strings.Fields(string(controllers)))
	}
	return cgroup1(root)
}

// cgroup2 is what a host with these controllers can do. What the daemon's own
// group cannot hand on, because it is in a container itself, is not in the list.
func cgroup2(root string, controllers []string) Cgroup {
	has := func(name string) bool { return slices.Contains(controllers, name) }
	io := has("io")
	return Cgroup{
		Version: 2, Memory: has("memory"), Reservation: has("memory"),
		Swap:      has("memory") && swapOfGroups(),
		CPUShares: has("cpu"), CPUQuota: has("cpu"), CPUSet: has("cpuset"), Pids: has("pids"), BlockIO: io,
		BlockIOWeight: io, BlockIOWeightDevice: io,
		BlockIOReadBps: io, BlockIOWriteBps: io, BlockIOReadIOps: io, BlockIOWriteIOps: io,
		CPUs: firstLine(filepath.Join(root, "cpuset.cpus.effective")), Mems: firstLine(filepath.Join(root, "cpuset.mems.effective")),
	}
}

// swapOfGroups tells whether the kernel counts swap for each group of cgroup v2:
// then a group that is not the root, such as this process's, has the file.
func swapOfGroups() bool {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok && path != "/" && path != "" {
			return exists(filepath.Join("/sys/fs/cgroup", path, "memory.swap.max"))
		}
	}
	// In the root group nothing shows it: a kernel with swap is built to count it.
	return exists("/proc/swaps")
}

func cgroup1(root string) Cgroup {
	file := func(path ...string) bool { return exists(filepath.Join(append([]string{root}, path...)...)) }
	var unified unix.Statfs_t
	c := Cgroup{
		Version:        1,
		Hybrid:         unix.Statfs(filepath.Join(root, "unified"), &unified) == nil && unified.Type == unix.CGROUP2_SUPER_MAGIC,
		Memory:         file("memory", "memory.limit_in_bytes"),
		Swap:           file("memory", "memory.memsw.limit_in_bytes"),
		Reservation:    file("memory", "memory.soft_limit_in_bytes"),
		Swappiness:     file("memory", "memory.swappiness"),
		OOMKillDisable: file("memory", "memory.oom_control"),
		CPUShares:      file("cpu", "cpu.shares"),
		CPUQuota:       file("cpu", "cpu.cfs_quota_us"),
		CPURealtime:    file("cpu", "cpu.rt_runtime_us"),
		CPUSet:         file("cpuset"),
		Pids:           file("pids"),
		BlockIO:        file("blkio"),

		BlockIOWeight:       file("blkio", "blkio.weight"),
		BlockIOWeightDevice: file("blkio", "blkio.weight_device"),
		BlockIOReadBps:      file("blkio", "blkio.throttle.read_bps_device"),
		BlockIOWriteBps:     file("blkio", "blkio.throttle.write_bps_device"),
		BlockIOReadIOps:     file("blkio", "blkio.throttle.read_iops_device"),
		BlockIOWriteIOps:    file("blkio", "blkio.throttle.write_iops_device"),

		CPUs: firstLine(filepath.Join(root, "cpuset", "cpuset.cpus")), Mems: firstLine(filepath.Join(root, "cpuset", "cpuset.mems")),
	}
	// The weights of BFQ show only below the root, and weigh only where a disk uses it.
	if file("blkio", "blkio.bfq.io_service_bytes") && bfqInUse("/sys/block") {
		c.BlockIOWeight, c.BlockIOWeightDevice = true, true
	}
	return c
}

// bfqInUse tells whether a disk has the I/O scheduler that knows weights.
func bfqInUse(blocks string) bool {
	files, _ := filepath.Glob(filepath.Join(blocks, "*", "queue", "scheduler"))
	return slices.ContainsFunc(files, func(f string) bool { return strings.Contains(firstLine(f), "[bfq]") })
}

// Missing says what the kernel or its cgroups cannot do for containers that
// docker's `info` tells too, in its words and order.
func (c Cgroup) Missing() []string {
	var list []string
	for _, m := range []struct {
		missing bool
		text    string
	}{
		{!c.Memory, "No memory limit support"},
		{c.Memory && !c.Swap, "No swap limit support"},
		{!c.OOMKillDisable && c.Version == 1, "No oom kill disable support"},
		{!c.CPUShares, "No cpu shares support"},
		{!c.CPUQuota, "No cpu cfs quota support"},
		{!c.CPUSet, "No cpuset support"},
		{!c.Pids, "No pids limit support"},
		{!c.BlockIOWeight && !c.quiet(), "No blkio weight support"},
		{!c.BlockIOWeightDevice && !c.quiet(), "No blkio weight_device support"},
		{!c.BlockIOReadBps, "No blkio throttle.read_bps_device support"},
		{!c.BlockIOWriteBps, "No blkio throttle.write_bps_device support"},
		{!c.BlockIOReadIOps, "No blkio throttle.read_iops_device support"},
		{!c.BlockIOWriteIOps, "No blkio throttle.write_iops_device support"},
	} {
		if m.missing {
			list = append(list, m.text)
		}
	}
	return list
}

// quiet: no kernel since 5.0 has weights on cgroup v1 without BFQ, so that
// every such host would have the two warnings for ever.
func (c Cgroup) quiet() bool { return c.Version == 1 && c.BlockIO }

func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}
