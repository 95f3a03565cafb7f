// Package hostinfo finds out what the host is and what its kernel can do for
// containers.
package hostinfo

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what does not change while the host is up.
type Host struct {
	Name            string // node name
	KernelVersion   string
	Machine         string // as uname -m: x86_64
	OperatingSystem string // PRETTY_NAME of os-release(5), with " (containerized)" after it where pid 1 is not the host's
	OSVersion       string // VERSION_ID of os-release(5)
	CPUs            int    // usable by this process
	MemoryBytes     int64
	Cgroup          Cgroup
	Seccomp         bool // the kernel can filter system calls
	AppArmor        bool
	SELinux         bool
}

// Read looks at the host. What can't be read is left empty.
func Read() Host {
	h := Host{CPUs: runtime.NumCPU(), OperatingSystem: "<unknown>"}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		h.Name = unix.ByteSliceToString(uts.Nodename[:])
		h.KernelVersion = unix.ByteSliceToString(uts.Release[:])
		h.Machine = unix.ByteSliceToString(uts.Machine[:])
	}
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		h.MemoryBytes = int64(uint64(si.Totalram) * uint64(si.Unit))
	}
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if f, err := os.Open(path); err == nil {
			release := osRelease(bufio.NewScanner(f))
			f.Close()
			if name := release["PRETTY_NAME"]; name != "" {
				h.OperatingSystem = name
			}
			h.OSVersion = release["VERSION_ID"]
			break
		}
	}
	if groups, err := os.ReadFile("/proc/1/cgroup"); err == nil && containerized(string(groups)) {
		h.OperatingSystem += " (containerized)"
	}
	h.Cgroup = readCgroup("/sys/fs/cgroup")
	h.Seccomp = exists("/proc/sys/kernel/seccomp/actions_avail")
	h.AppArmor = exists("/sys/kernel/security/apparmor")
	h.SELinux = exists("/sys/fs/selinux/enforce")
	return h
}

// containerized tells from the cgroups of pid 1 whether the engine runs in a
// container itself: on a host it is in the root of each hierarchy, or in systemd's scope for it.
func containerized(groups string) bool {
	for _, line := range strings.Split(strings.TrimSpace(groups), "\n") {
		if line != "" && !strings.HasSuffix(line, ":/") && !strings.HasSuffix(line, ":/init.scope") {
			return true
		}
	}
	return false
}

// osRelease parses os-release(5): NAME=value lines, the value in shell quotes or bare.
func osRelease(lines *bufio.Scanner) map[string]string {
	values := map[string]string{}
	for lines.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		values[key] = strings.Trim(value, "'")
	}
	return values
}

// IPForwarding tells whether the host forwards IPv4 packets now.
func IPForwarding() bool {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// OpenFiles counts the descriptors of this process.
func OpenFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
