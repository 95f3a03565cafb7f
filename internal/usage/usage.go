package usage

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a group uses at one moment. Numbers that the host does not
// count are zero; lists are never spelled out for what there is not.
type Usage struct {
	Read    time.Time
	CPU     CPU
	Memory  Memory
	Pids    Pids
	BlockIO BlockIO
}

// CPU times are in nanoseconds.
type CPU struct {
	Total, Kernel, User       uint64
	PerCPU                    []uint64 `json:",omitempty"` // only v1
	Periods, ThrottledPeriods uint64
	ThrottledTime             uint64
}

// Memory is in bytes. Limit is huge where there is none.
type Memory struct {
	Usage, MaxUsage, Limit uint64
	Failures               uint64            // how often the limit was hit
	Stats                  map[string]uint64 // of memory.stat, in the words of the cgroup version
}

// Pids counts processes and threads. Limit 0 is none.
type Pids struct{ Current, Limit uint64 }

// BlockIO is what was read from and written to disks.
type BlockIO struct{ Bytes, Operations []BlockIOEntry }

// BlockIOEntry counts one kind of operation on one disk.
type BlockIOEntry struct {
	Major, Minor uint64
	Op           string
	Value        uint64
}

// Unlimited is Memory.Limit where there is no limit.
const Unlimited = ^uint64(0)

// Read reads what the group uses, version 1 or 2 told by what is there.
func Read(memory string) (Usage, error) {
	if _, err := os.Stat(memory); err != nil {
		return Usage{}, err
	}
	u := Usage{Read: time.Now().UTC()}
	if _, err := os.Stat(filepath.Join(memory, "cgroup.controllers")); err == nil {
		read2(&u, memory)
	} else {
		read1(&u, memory)
	}
	return u, nil
}

func read2(u *Usage, dir string) {
	cpu := pairs(filepath.Join(dir, "cpu.stat"))
	u.CPU = CPU{
		Total: cpu["usage_usec"] * 1000, Kernel: cpu["system_usec"] * 1000, User: cpu["user_usec"] * 1000,
		Periods: cpu["nr_periods"], ThrottledPeriods: cpu["nr_throttled"], ThrottledTime: cpu["throttled_usec"] * 1000,
	}
	u.Memory = Memory{
		Usage: file(dir, "memory.current"), MaxUsage: file(dir, "memory.peak"), Limit: limit(dir, "memory.max"),
		Failures: pairs(filepath.Join(dir, "memory.events"))["max"], Stats: pairs(filepath.Join(dir, "memory.stat")),
	}
	u.Pids = Pids{file(dir, "pids.current"), pidsLimit(dir)}
	u.BlockIO = ioStat(text(filepath.Join(dir, "io.stat")))
}

func read1(u *Usage, memory string) {
	at := func(controller string) string {
		top, path, _ := strings.Cut(memory, "/memory/")
		return filepath.Join(top, controller, path)
	}
	acct, cpu, pids, blkio := at("cpuacct"), at("cpu"), at("pids"), at("blkio")
	ticks := pairs(filepath.Join(acct, "cpuacct.stat"))
	throttled := pairs(filepath.Join(cpu, "cpu.stat"))
	const tick = uint64(time.Second / 100) // USER_HZ is 100 everywhere
	u.CPU = CPU{
		Total: file(acct, "cpuacct.usage"), Kernel: ticks["system"] * tick, User: ticks["user"] * tick,
		Periods: throttled["nr_periods"], ThrottledPeriods: throttled["nr_throttled"], ThrottledTime: throttled["throttled_time"],
	}
	for _, n := range strings.Fields(text(filepath.Join(acct, "cpuacct.usage_percpu"))) {
		u.CPU.PerCPU = append(u.CPU.PerCPU, number(n))
	}
	u.Memory = Memory{
		Usage: file(memory, "memory.usage_in_bytes"), MaxUsage: file(memory, "memory.max_usage_in_bytes"), Limit: limit(memory, "memory.limit_in_bytes"),
		Failures: file(memory, "memory.failcnt"), Stats: pairs(filepath.Join(memory, "memory.stat")),
	}
	u.Pids = Pids{file(pids, "pids.current"), pidsLimit(pids)}
	u.BlockIO = BlockIO{
		Bytes:      throttle(text(filepath.Join(blkio, "blkio.throttle.io_service_bytes_recursive"))),
		Operations: throttle(text(filepath.Join(blkio, "blkio.throttle.io_serviced_recursive"))),
	}
}

// throttle reads lines such as "8:0 Read 4096"; the one that has a total of all is left out.
func throttle(lines string) (list []BlockIOEntry) {
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		major, minor, _ := strings.Cut(f[0], ":")
		list = append(list, BlockIOEntry{number(major), number(minor), f[1], number(f[2])})
	}
	return list
}

// ioStat reads lines such as "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0".
func ioStat(lines string) (io BlockIO) {
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		major, minor, _ := strings.Cut(f[0], ":")
		for _, kv := range f[1:] {
			key, value, _ := strings.Cut(kv, "=")
			e := BlockIOEntry{Major: number(major), Minor: number(minor), Value: number(value)}
			to := &io.Bytes
			if strings.HasSuffix(key, "ios") {
				to = &io.Operations
			}
			switch key {
			case "rbytes", "rios":
				e.Op = "read"
			case "wbytes", "wios":
				e.Op = "write"
			default:
				continue
			}
			*to = append(*to, e)
		}
	}
	return io
}

func pidsLimit(dir string) uint64 {
	if n := limit(dir, "pids.max"); n != Unlimited {
		return n
	}
	return 0
}

// limit reads a number or "max".
func limit(dir, name string) uint64 {
	t := strings.TrimSpace(text(filepath.Join(dir, name)))
	if t == "max" || t == "" {
		return Unlimited
	}
	return number(t)
}

func file(dir, name string) uint64 { return number(text(filepath.Join(dir, name))) }

// pairs reads lines of a name and a number.
func pairs(path string) map[string]uint64 {
	all := map[string]uint64{}
	for line := range strings.Lines(text(path)) {
		if f := strings.Fields(line); len(f) == 2 {
			all[f[0]] = number(f[1])
		}
	}
	return all
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	return n
}

func text(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// SystemCPU is the time that all CPUs of the host have spent since boot, in
// nanoseconds, idle time included, and how many CPUs are online.
func SystemCPU() (nanoseconds uint64, online int) {
	return systemCPU(text("/proc/stat"))
}

func systemCPU(stat string) (nanoseconds uint64, online int) {
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		switch {
		case len(f) > 8 && f[0] == "cpu":
			// user nice system idle iowait irq softirq; steal and guests are in others' times
			for _, n := range f[1:8] {
				nanoseconds += number(n) * uint64(time.Second/100)
			}
		case len(f) > 0 && strings.HasPrefix(f[0], "cpu"):
			online++
		}
	}
	return nanoseconds, online
}
