package spec

// MaskedPaths are hidden from containers: what moby 28 and podman 5 hide.
// Absent ones are passed over.
func MaskedPaths() []string {
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
