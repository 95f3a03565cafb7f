// Package cgroupdir looks after cgroups as folders: whether one exists in any
// hierarchy, and taking an empty one away.
package cgroupdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Exists tells whether a cgroup, named by its path from the root of a
// hierarchy, is there in any hierarchy.
func Exists(cgroup string) bool {
	for _, root := range hierarchies("/sys/fs/cgroup") {
		if _, err := os.Stat(filepath.Join(root, cgroup)); err == nil {
			return true
		}
	}
	return false
}

// RemoveEmpty takes a cgroup away from all hierarchies in which nothing is in
// it: no process and no other cgroup.
func RemoveEmpty(cgroup string) error {
	if filepath.Clean("/"+cgroup) == "/" {
		return nil
	}
	var failed []error
	for _, root := range hierarchies("/sys/fs/cgroup") {
		err := unix.Rmdir(filepath.Join(root, cgroup))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			failed = append(failed, &fs.PathError{Op: "rmdir", Path: filepath.Join(root, cgroup), Err: err})
		}
	}
	return errors.Join(failed...)
}

// hierarchies lists where cgroups are mounted below top: top itself with
// cgroup v2 only, one folder for each hierarchy otherwise.
func hierarchies(top string) []string {
	var st unix.Statfs_t
	if unix.Statfs(top, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{top}
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		return nil
	}
	var roots []string
	for _, e := range entries {
		path := filepath.Join(top, e.Name())
		// Symbolic links such as cpu,cpuacct lead to hierarchies that are listed anyway.
		if e.IsDir() && unix.Statfs(path, &st) == nil &&
			(st.Type == unix.CGROUP_SUPER_MAGIC || st.Type == unix.CGROUP2_SUPER_MAGIC) {
			roots = append(roots, path)
		}
	}
	return roots
}

// Children lists the groups right below a cgroup, in all hierarchies.
func Children(cgroup string) []string {
	var dirs []string
	for _, root := range hierarchies("/sys/fs/cgroup") {
		entries, _ := os.ReadDir(filepath.Join(root, cgroup))
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(root, cgroup, e.Name()))
			}
		}
	}
	return dirs
}
