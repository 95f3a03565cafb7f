package usage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// OOMKills counts the processes of a group that the kernel has killed because
// memory ran out: memory.events on cgroup v2, memory.oom_control on v1 (Linux 4.13).
func OOMKills(memory string) (uint64, error) {
	for _, name := range []string{"memory.events", "memory.oom_control"} {
		text, err := os.ReadFile(filepath.Join(memory, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				return number(n), nil
			}
		}
	}
	return 0, nil
}

// WatchOOM gives a non-blocking file that becomes readable whenever a group's
// memory may have run out; the receiver reads it and closes it. What has
// happened, OOMKills tells, a moment later on v1, where the news comes first.
func WatchOOM(memory string) (*os.File, error) {
	events := filepath.Join(memory, "memory.events")
	if _, err := os.Stat(events); err == nil {
		return watchFile(events)
	}
	return watchEvents(memory)
}

// watchFile is told when memory.events changes (cgroup v2).
func watchFile(path string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "inotify_add_watch", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), "memory.events"), nil
}

// watchEvents has the kernel write to an eventfd (cgroup v1, cgroup.event_control).
func watchEvents(memory string) (*os.File, error) {
	control, err := os.Open(filepath.Join(memory, "memory.oom_control"))
	if err != nil {
		return nil, err
	}
	defer control.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd2", err)
	}
	register := filepath.Join(memory, "cgroup.event_control")
	if err := os.WriteFile(register, fmt.Appendf(nil, "%d %d", fd, control.Fd()), 0); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "memory.oom_control"), nil
}
