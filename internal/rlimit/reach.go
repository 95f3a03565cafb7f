package rlimit

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Numbers maps the names of the runtime spec to the kernel's numbers.
var Numbers = sync.OnceValue(func() map[string]int {
	return map[string]int{
		"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
		"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
		"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE,
		"RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC,
		"RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
		"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
	}
})

// WithinReach gives p as far as this process may make it so. Without
// CAP_SYS_RESOURCE nobody can raise a hard limit or lower an OOM score, and a
// container with a slightly lower limit is better than none.
func WithinReach(p *specs.Process) *specs.Process {
	if p == nil || CanRaise() {
		return p
	}
	return capped(p)
}

func capped(p *specs.Process) *specs.Process {
	q := *p
	q.Rlimits = nil
	for _, l := range p.Rlimits {
		var own unix.Rlimit
		if which, ok := Numbers()[l.Type]; ok && unix.Getrlimit(which, &own) == nil && l.Hard > own.Max {
			warnOnce("%s: hard limit %d is above ours and CAP_SYS_RESOURCE is missing: using %d", l.Type, l.Hard, own.Max)
			l.Hard, l.Soft = own.Max, min(l.Soft, own.Max)
		}
		q.Rlimits = append(q.Rlimits, l)
	}
	if own := ownOOMScore(); p.OOMScoreAdj != nil && *p.OOMScoreAdj < own {
		warnOnce("oom_score_adj %d is below ours and CAP_SYS_RESOURCE is missing: using %d", *p.OOMScoreAdj, own)
		q.OOMScoreAdj = &own
	}
	return &q
}

var warned sync.Map // texts

// warnOnce says what would be the same for every container.
func warnOnce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if _, before := warned.LoadOrStore(text, true); !before {
		logrus.Warn(text)
	}
}

// CanRaise tells whether this process may raise limits above its own: whether
// it has CAP_SYS_RESOURCE.
var CanRaise = sync.OnceValue(func() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&hdr, &data[0]) != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
})

func ownOOMScore() int {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
