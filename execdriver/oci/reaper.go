package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/pidfd"
)

// orphanage keeps hold of what runtimes leave running. The runtime is a container's
// parent and ends before it, and process 1 would take the container with its exit code.
//
// So this process is the nearest subreaper, but only while a runtime makes a
// process: the kernel looks for one when a parent ends, and never again. A
// subreaper for good would inherit every orphan of every container that shares
// the host's pid namespace.
//
// A pidfd that tells the code of a process which process 1 has reaped, as it
// does since Linux 6.15, would not do: an exec may be gone before the runtime
// has said its number, and so before there is a pidfd.
type orphanage struct {
	mu     sync.Mutex
	calls  int          // of runtimes at work
	before map[int]bool // children when the first of these calls began
	wanted map[int]bool // processes that somebody waits for
}

// open is called before a runtime is started, close after its end with the
// process that it has made, or 0.
func (o *orphanage) open() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == 0 {
		o.before, o.wanted = children(), map[int]bool{}
		if err := subreaper(1); err != nil {
			return err
		}
	}
	o.calls++
	return nil
}

func (o *orphanage) close(made int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted[made] = true
	if o.calls--; o.calls > 0 {
		return
	}
	_ = subreaper(0)
	for pid := range children() {
		if !o.before[pid] && !o.wanted[pid] {
			go bury(pid)
		}
	}
	o.before, o.wanted = nil, nil
}

func subreaper(on uintptr) error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, on, 0, 0, 0))
}

// patience is how long after its end a child that came meanwhile is left to
// those who may wait for it. Tests have less.
var patience = time.Minute

// bury reaps a child that perhaps nobody waits for: a helper process of a
// runtime, or the orphan of another container. If it is somebody's, it has been
// reaped long before.
func bury(pid int) {
	started, err := pidfd.StartTime(pid)
	if err != nil {
		return
	}
	p := pidfd.Process{Pid: pid, StartTime: started}
	f, err := pidfd.Open(p)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = pidfd.Await(f, p)
	time.Sleep(patience)
	pidfd.Reap(f)
}

// children lists the children of this process, which are those of its threads.
func children() map[int]bool {
	all := map[int]bool{}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				all[pid] = true
			}
		}
	}
	return all
}
