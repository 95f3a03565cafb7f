package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/events"
	"github.com/jobengine/engine/internal/cgroupdir"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

// CleanUp removes from the host what an engine made there and what its folders do not hold: bridges and
// other interfaces, rules of firewalls, cgroups, mounts. Containers, images and volumes stay, and the next start finds
// them as after a reboot. It refuses while containers run; the caller holds the locks of the roots, so
// that no daemon does. cfg is what the engine was started with.
func (set *Set) CleanUp(ctx context.Context, cfg Config) error {
	if _, err := set.settle(&cfg); err != nil {
		return err
	}
	if err := endSupervisor(ctx, cfg); err != nil {
		return err
	}
	groups := containerGroups(cfg)
	for _, group := range groups {
		if pid := anybodyIn(group); pid != 0 {
			return errs.Conflict("container %.12s runs without a supervisor, process %d: start `engine -d` with the same roots and stop it, or end the process", filepath.Base(group), pid)
		}
	}
	nets, err := set.newNetworks(cfg, identity{}, events.New())
	if err != nil {
		return err
	}
	failed := []error{nets.CleanUp(ctx), nets.Close(), unmountBelow(cfg.DataRoot, cfg.ExecRoot)}
	for _, group := range groups {
		failed = append(failed, removeGroup(group))
	}
	if cfg.CgroupDriver != cgroupnames.Systemd && madeParent(cfg) {
		failed = append(failed, cgroupdir.RemoveEmpty(cfg.CgroupParent))
	}
	return errors.Join(failed...)
}

// endSupervisor ends one that has no containers, and refuses if it has some.
func endSupervisor(ctx context.Context, cfg Config) error {
	socket := protocol.SocketPath(cfg.ExecRoot)
	answers := func() bool {
		conn, err := net.Dial(protocol.Network, socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}
	if !answers() {
		return nil
	}
	sup, err := client.Open(ctx, client.Options{ExecRoot: cfg.ExecRoot, Log: cfg.Log.Warnf})
	if err != nil {
		return fmt.Errorf("a supervisor runs, and can not be asked for its containers: %w", err)
	}
	defer sup.Close()
	list, err := sup.List(ctx)
	if err != nil {
		return fmt.Errorf("a supervisor runs, and can not be asked for its containers: %w", err)
	}
	var running []string
	for _, c := range list {
		if c.Exit == nil && c.Pid != 0 {
			running = append(running, fmt.Sprintf("%.12s (process %d)", c.ID, c.Pid))
		}
	}
	if len(running) > 0 {
		return errs.Conflict("supervisor %d has running containers: %s: start `engine -d` with the same roots and stop them first", sup.Hello().Pid, strings.Join(running, ", "))
	}
	if err := sup.Shutdown(ctx); err != nil {
		return fmt.Errorf("end supervisor %d: %w", sup.Hello().Pid, err)
	}
	for answers() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("supervisor %d does not end: %w", sup.Hello().Pid, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

func madeParent(cfg Config) bool {
	made, err := os.ReadFile(filepath.Join(cfg.ExecRoot, "made-cgroup-parent"))
	return err == nil && string(made) == cfg.CgroupParent+"\n"
}

// containerGroups are the cgroups of our containers: those of the data root, and, where the parent is ours, those of
// containers that were removed with the power.
func containerGroups(cfg Config) []string {
	if cfg.CgroupDriver == cgroupnames.Systemd {
		return nil // scopes are systemd's, and end with their last process
	}
	all := madeParent(cfg)
	return slices.DeleteFunc(cgroupdir.Children(cfg.CgroupParent), func(dir string) bool {
		id := filepath.Base(dir)
		if !containerID.MatchString(id) {
			return true
		}
		_, err := os.Lstat(filepath.Join(cfg.DataRoot, "containers", id))
		return err != nil && !all
	})
}

// anybodyIn gives a process of a group or of one below it, 0 if there is none.
func anybodyIn(group string) (pid int) {
	_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "cgroup.procs" {
			text, _ := os.ReadFile(path)
			if _, err := fmt.Sscan(string(text), &pid); err == nil {
				return fs.SkipAll
			}
		}
		return nil
	})
	return pid
}

func removeGroup(group string) error {
	var dirs []string
	_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// unmountBelow ends the mounts that the engine makes in its folders: root filesystems and shared memory of
// containers. A disk that the administrator mounted there is none of them.
func unmountBelow(dataRoot, execRoot string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var failed []error
	var paths []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		_, after, ok := strings.Cut(line, " - ")
		if !ok || len(fields) < 5 {
			continue
		}
		kind, _, _ := strings.Cut(after, " ")
		path := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
		switch {
		case strings.HasPrefix(path, dataRoot+"/") && (kind == "overlay" || strings.HasPrefix(path, dataRoot+"/containers/")),
			strings.HasPrefix(path, execRoot+"/"):
			paths = append(paths, path)
		}
	}
	for _, path := range slices.Backward(paths) {
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			failed = append(failed, fmt.Errorf("unmount %s: %w", path, err))
		}
	}
	return errors.Join(failed...)
}
