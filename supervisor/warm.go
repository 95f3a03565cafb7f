package supervisor

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// warmer takes the slow part of joining a cgroup out of the way of a start.
//
// A join takes one lock in the kernel (cgroup_threadgroup_rwsem) for writing, and
// after some idle time the first taker waits for an RCU grace period, 10 to 15
// ms. A join of the group that we are in already changes nothing and takes the
// same lock: it is done beside the other work of a start, which finds the lock
// warm. The warmth lasts some 20 ms.
type warmer struct {
	procs *os.File      // cgroup.procs of our own group; nil: there is nothing to warm
	busy  chan struct{} // holds a token while somebody warms
}

func newWarmer() *warmer {
	w := &warmer{busy: make(chan struct{}, 1)}
	for _, path := range ownCgroups() {
		if f, err := os.OpenFile(filepath.Join(path, "cgroup.procs"), os.O_WRONLY, 0); err == nil {
			w.procs = f
			break
		}
	}
	return w
}

// warm returns at once.
func (w *warmer) warm() {
	if w.procs == nil {
		return
	}
	select {
	case w.busy <- struct{}{}:
	default:
		return
	}
	go func() {
		_, _ = w.procs.WriteString("0")
		<-w.busy
	}()
}

// ownCgroups are the folders of the groups that this process is in.
func ownCgroups() []string {
	mounts := map[string]string{} // by controllers, "" for cgroup v2
	if f, err := os.Open("/proc/self/mountinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// 36 35 98:0 /root /mount/point options… - type source superoptions
			before, after, _ := strings.Cut(lines.Text(), " - ")
			point, kind := strings.Fields(before), strings.Fields(after)
			if len(point) < 5 || len(kind) < 3 {
				continue
			}
			switch kind[0] {
			case "cgroup2":
				mounts[""] = point[4]
			case "cgroup":
				for _, option := range strings.Split(kind[2], ",") {
					mounts[option] = point[4]
				}
			}
		}
	}
	var dirs []string
	text, _ := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(string(text), "\n") {
		// 4:memory:/path and 0::/path
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		controller, _, _ := strings.Cut(parts[1], ",")
		if at, ok := mounts[controller]; ok {
			dirs = append(dirs, filepath.Join(at, parts[2]))
		}
	}
	return dirs
}
