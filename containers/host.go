package containers

import (
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/caps"
	"github.com/jobengine/engine/internal/hostinfo"
)

// host is what containers must know of the host. It is looked at once.
type host struct {
	hostinfo.Host
	facts spec.Host
	name  func() string // the host's name, which may change
}

func newHost(seccomp bool) *host {
	h := &host{Host: hostinfo.Read()}
	h.facts = spec.Host{
		CgroupVersion: h.Cgroup.Version,
		Seccomp:       seccomp && h.Seccomp,
		Capabilities:  caps.Available(),
		Mqueue:        mqueue(),
		AppArmor:      apparmor(),
		MqueueMounted: mqueueMounted(),
	}
	h.facts.NoFileHard = hardLimit(unix.RLIMIT_NOFILE)
	h.facts.CoreHard = hardLimit(unix.RLIMIT_CORE)
	h.name = sync.OnceValue(func() string { n, _ := os.Hostname(); return n })
	h.CPUs = runtime.NumCPU()
	return h
}

// spec is what the makers of specs must know.
func (h *host) spec() spec.Host { return h.facts }

func hardLimit(which int) uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(which, &l); err != nil {
		return 0
	}
	return l.Max
}

// apparmor tells whether the kernel confines programs by AppArmor.
func apparmor() bool {
	text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && len(text) > 0 && text[0] == 'Y'
}

// mqueue tells whether the kernel has POSIX message queues.
func mqueue() bool {
	_, err := os.Stat("/proc/sys/fs/mqueue")
	return err == nil
}

func mqueueMounted() bool {
	var st unix.Statfs_t
	const magic = 0x19800202 // MQUEUE_MAGIC
	return unix.Statfs("/dev/mqueue", &st) == nil && st.Type == magic
}
