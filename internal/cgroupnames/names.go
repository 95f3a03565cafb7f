package cgroupnames

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// The managers, as docker's native.cgroupdriver has them.
const (
	Cgroupfs = "cgroupfs"
	Systemd  = "systemd"
)

// scopePrefix begins the names of our scopes: engine-ID.scope.
const scopePrefix = "engine"

// Pick gives the manager that was asked for; "" asks for the one that is right
// here: systemd where it is process 1 and cgroup v2 is all there is, as two
// must not write to one tree.
func Pick(asked string) (string, error) {
	return pick(asked, SystemdRuns(), unified("/sys/fs/cgroup"))
}

func pick(asked string, systemd, unified bool) (string, error) {
	if err := Check(asked); err != nil {
		return "", err
	}
	switch {
	case asked == Systemd && !systemd:
		return "", fmt.Errorf("native.cgroupdriver option systemd: systemd not running on this host, cannot use systemd cgroups manager")
	case asked != "":
		return asked, nil
	case systemd && unified:
		return Systemd, nil
	}
	return Cgroupfs, nil
}

// Check says whether there is such a manager, in docker's words.
func Check(asked string) error {
	switch asked {
	case "", Cgroupfs, Systemd:
		return nil
	case "none":
		return errs.Invalid("native.cgroupdriver option %s is internally used and cannot be specified manually", asked)
	}
	return errs.Invalid("native.cgroupdriver option %s not supported", asked)
}

// SystemdRuns tells whether systemd is this host's process 1, by the test of sd_booted(3).
func SystemdRuns() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

func unified(root string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(root, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// DefaultParent is what containers are in if nobody says otherwise.
func DefaultParent(manager string) string {
	if manager == Systemd {
		return "engine.slice"
	}
	return "/engine"
}

// CheckParent checks the parent that somebody wants for a container, in
// docker's words where it has some. "" is the default's business.
func CheckParent(manager, parent string) error {
	if len(parent) > 1024 || strings.ContainsAny(parent, "\n\x00") {
		return errs.Invalid("invalid cgroup parent")
	}
	for _, part := range strings.Split(parent, "/") {
		if part == ".." {
			return errs.Invalid("invalid cgroup parent %q: it must not have \"..\"", parent)
		}
	}
	if manager != Systemd || parent == "" {
		return nil
	}
	if len(parent) <= len(".slice") || !strings.HasSuffix(parent, ".slice") {
		return errs.Invalid(`cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`)
	}
	// systemd.slice(5): the name is the way from the root, a dash between two steps.
	name := strings.TrimSuffix(parent, ".slice")
	if strings.ContainsAny(name, "/: \t") || strings.HasPrefix(name, "-") && name != "-" || strings.HasSuffix(name, "-") && name != "-" || strings.Contains(name, "--") {
		return errs.Invalid("invalid slice name: %s", parent)
	}
	return nil
}

// Path is a container's cgroup as an OCI runtime spec has it (linux.cgroupsPath).
func Path(manager, parent, id string) string {
	if manager == Systemd {
		return parent + ":" + scopePrefix + ":" + id
	}
	return path.Join("/", parent, id)
}

// IsSystemd tells whether a path of a spec names a scope of systemd: slice:prefix:name.
func IsSystemd(cgroupsPath string) bool {
	return !strings.HasPrefix(cgroupsPath, "/") && strings.Count(cgroupsPath, ":") == 2
}
