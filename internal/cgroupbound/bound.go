package cgroupbound

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const root = "/sys/fs/cgroup"

// DefaultPids is half of what the host can have: of the numbers that there are,
// of the memory that processes may take, and of what bounds this process itself.
func DefaultPids() int64 {
	own, _ := folder(root, "pids", ownPath("/proc/self/cgroup", "pids"))
	return half(
		number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max"), number(filepath.Join(own, "pids.max")),
	)
}

func half(bounds ...int64) int64 {
	least := int64(0)
	for _, b := range bounds {
		if b > 0 && (least == 0 || b < least) {
			least = b
		}
	}
	return least / 2
}

// Pids lets the processes of a cgroup and of all below it be at most n; 0 is
// any number. The cgroup is made if it is not there. A bound that somebody else
// has put there holds if it is lower, unless outright says that the user wants n.
func Pids(cgroup string, n int64, outright bool) error {
	dir, err := folder(root, "pids", cgroup)
	if err != nil {
		return err
	}
	if err := makeGroup(dir, "pids"); err != nil {
		return err
	}
	file := filepath.Join(dir, "pids.max")
	if now := number(file); now > 0 && n > 0 && now <= n && !outright {
		return nil
	}
	text := "max"
	if n > 0 {
		text = strconv.FormatInt(n, 10)
	}
	return os.WriteFile(file, []byte(text), 0)
}

// Realtime gives a cgroup a share of the real-time of each CPU, in microseconds,
// and all that are above it; 0 leaves a number as it is. Only cgroup v1 knows it.
func Realtime(cgroup string, period, runtime int64) error {
	dir := filepath.Join(root, "cpu")
	if _, err := os.Stat(filepath.Join(dir, "cpu.rt_runtime_us")); err != nil {
		return errors.New("this kernel does not support CPU real-time scheduler for cgroups")
	}
	for _, step := range strings.Split(strings.Trim(filepath.Clean("/"+cgroup), "/"), "/") {
		dir = filepath.Join(dir, step)
		if err := makeGroup(dir, "cpu"); err != nil {
			return err
		}
		for _, w := range []struct {
			file  string
			value int64
		}{{"cpu.rt_period_us", period}, {"cpu.rt_runtime_us", runtime}} {
			if w.value == 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, w.file), []byte(strconv.FormatInt(w.value, 10)), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// folder is where a controller has a cgroup.
func folder(root, controller, cgroup string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return "", &os.PathError{Op: "statfs", Path: root, Err: err}
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		root = filepath.Join(root, controller)
		if _, err := os.Stat(root); err != nil {
			return "", fmt.Errorf("the cgroup controller %s is not mounted", controller)
		}
	}
	return filepath.Join(root, filepath.Clean("/"+cgroup)), nil
}

// makeGroup makes a cgroup, with a controller that its parents hand down.
func makeGroup(dir, controller string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err != nil {
		return nil // v1
	}
	for at := root; ; {
		if err := os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
			return err
		}
		rest, _ := filepath.Rel(at, dir)
		step, more, _ := strings.Cut(rest, "/")
		if more == "" {
			return nil
		}
		at = filepath.Join(at, step)
	}
}

// ownPath is the cgroup of a process, for a controller of v1, or on v2.
func ownPath(file, controller string) string {
	text, _ := os.ReadFile(file)
	path := "/"
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[1] == controller {
			return f[2]
		}
		if f[1] == "" {
			path = f[2]
		}
	}
	return path
}

// number reads a file that has one; "max" and what is not there are 0.
func number(path string) int64 {
	text, _ := os.ReadFile(path)
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
