package leak

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Scope says what belongs to one private daemon.
type Scope struct {
	// Root is the folder that holds all of it. A process belongs to it that
	// names the folder in its command line, or carries Mark(Root).
	Root string
	// CgroupParent is a path below every hierarchy, "/engine-x".
	CgroupParent string
	// Dirs must be without files when the daemon has ended, but for those whose
	// base name is in Keep.
	Dirs []string
	Keep []string
}

// Mark is the environment variable that the processes of one private daemon
// inherit; containers do not have it, they are found by their cgroup.
func Mark(root string) string { return "ENGINE_TEST_ROOT=" + root }

func (s Scope) owns(p process) bool {
	if p.Pid == os.Getpid() {
		return false
	}
	if strings.Contains(p.Environ+" ", Mark(s.Root)+" ") || strings.Contains(p.Cmdline, s.Root+"/") {
		return true
	}
	if s.CgroupParent == "" {
		return false
	}
	for _, line := range strings.Split(p.Cgroup, "\n") {
		if i := strings.Index(line, ":/"); i >= 0 && within(line[i+1:], s.CgroupParent) {
			return true
		}
	}
	return false
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// Owned lists what belongs to the scope and still exists, one line each, in a
// stable order. Clients of the daemon count too.
func Owned(s Scope) []string {
	var found []string
	for _, p := range processes() {
		if s.owns(p) {
			found = append(found, p.String())
		}
	}
	for _, m := range mounts() {
		if within(m.Point, s.Root) {
			found = append(found, m.String())
		}
	}
	for _, dir := range cgroupsBelow(s.CgroupParent) {
		found = append(found, "cgroup "+dir)
	}
	for _, dir := range s.Dirs {
		filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !slices.Contains(s.Keep, e.Name()) {
				found = append(found, fmt.Sprintf("file %s (%s)", path, e.Type()))
			}
			return nil
		})
	}
	sort.Strings(found)
	return found
}

// Clean ends the processes, mounts and cgroups of the scope by force, so that
// one leak, once reported, does not fail what follows.
func Clean(s Scope) {
	for _, p := range processes() {
		if s.owns(p) {
			unix.Kill(p.Pid, unix.SIGKILL)
		}
	}
	all := mounts()
	for i := len(all) - 1; i >= 0; i-- {
		if within(all[i].Point, s.Root) {
			unix.Unmount(all[i].Point, unix.MNT_DETACH)
		}
	}
	for try := 0; try < 50 && len(cgroupsBelow(s.CgroupParent)) > 0; try++ {
		for _, dir := range cgroupsBelow(s.CgroupParent) {
			os.Remove(dir)
		}
		if try > 0 {
			nap()
		}
	}
}

// RemoveCgroupParent removes the parent from every hierarchy where it is
// empty: a daemon may keep it for its next container.
func RemoveCgroupParent(parent string) {
	for _, top := range hierarchies() {
		if parent != "" && parent != "/" {
			os.Remove(top + parent) // refused by the kernel when there are children
		}
	}
}

// Helpers lists the pids of a private daemon and of what it started to help
// it: all that the scope owns but what runs in its cgroups.
func Helpers(root string) []int {
	var pids []int
	for _, p := range processes() {
		if (Scope{Root: root}).owns(p) {
			pids = append(pids, p.Pid)
		}
	}
	return pids
}
