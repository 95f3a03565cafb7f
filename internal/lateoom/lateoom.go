// Package lateoom tells whether a process died for lack of memory although its
// cgroup, which counts that, is gone already. systemd removes a scope at the
// moment when its last process has ended, and who looks then comes too late.
//
// On cgroup v2 the group above counts for all that are below it, and stays. So
// a number that grew while the container lived is its own or a sibling's; who
// asks only for processes that died of a SIGKILL that nobody has sent is right
// but for the rarest of cases.
package lateoom

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/pidfd"
)

// Trace is what is kept of a container from its beginning on.
type Trace struct {
	Group string // folder
	Kills uint64 // of the group above, then
}

// Begin starts to look at a group that goes with its last process; nil where
// that makes no difference.
func Begin(group string) *Trace {
	kills, ok := above(group)
	if !ok {
		return nil
	}
	return &Trace{group, kills}
}

// Tells says whether the first process, which has ended and was not reaped,
// died for lack of memory, as far as its group cannot say so itself any more.
func (t *Trace) Tells(p pidfd.Process) bool {
	if t == nil || !gone(t.Group) {
		return false
	}
	kills, ok := above(t.Group)
	code, isZombie := pidfd.ZombieCode(p)
	return ok && kills > t.Kills && isZombie && code == 128+int(unix.SIGKILL)
}

// above is the number of a group's parent: processes below it that the kernel
// has killed for lack of memory. ok is false where nothing counts so.
func above(group string) (kills uint64, ok bool) {
	if group == "" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(group), "memory.events"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if n, found := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); found {
			kills, err = strconv.ParseUint(n, 10, 64)
			return kills, err == nil
		}
	}
	return 0, false
}

// gone tells whether the group's own count cannot be read any more.
func gone(group string) bool {
	_, err := os.Stat(filepath.Join(group, "memory.events"))
	return group != "" && errors.Is(err, os.ErrNotExist)
}
