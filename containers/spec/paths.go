package spec

import (
	"path/filepath"
	"slices"
	"sync"
)

// thermal tells how hot each processor is, which tells what others compute
// (GHSA-6fw5-f8r9-fgfm). Virtual machines have none of them.
var thermal = sync.OnceValue(func() []string {
	found, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle")
	return found
})

// MaskedPaths are hidden from containers of this host: what moby 28 and podman 5
// hide. Absent ones are passed over.
func MaskedPaths() []string { return slices.Concat(maskedEverywhere(), thermal()) }

func maskedEverywhere() []string {
	return []string{
		"/proc/asound",
		"/proc/acpi",
		"/proc/kcore",
		"/proc/keys",
		"/proc/latency_stats",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/proc/sched_debug",
		"/proc/scsi",
		"/sys/firmware",
		"/proc/interrupts",
		"/sys/devices/virtual/powercap",
		"/sys/dev/block",
		"/sys/fs/selinux",
	}
}

// ReadonlyPaths can be read but not written by containers.
func ReadonlyPaths() []string {
	return []string{
		"/proc/bus",
		"/proc/fs",
		"/proc/irq",
		"/proc/sys",
		"/proc/sysrq-trigger",
		"/proc/asound",
	}
}
