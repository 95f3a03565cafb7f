package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
)

// A half is a container whose Create has not returned. If the process that called
// it is killed meanwhile, libcontainer may know nothing of the container, and yet
// there is a process that waits for ever in a cgroup. So the cgroup is written
// down first, in a file of the container's name in this folder.
const halfDir = ".half"

type half struct {
	// Of the cgroup, as libcontainer has them.
	Name, Parent, Path string
	ScopePrefix        string `json:",omitempty"`
	Systemd            bool   `json:",omitempty"`
}

func (d *Driver) halfPath(id string) string { return filepath.Join(d.stateDir, halfDir, id) }

func (d *Driver) beginHalf(id string, c *cgroups.Cgroup) error {
	text, err := json.Marshal(half{Name: c.Name, Parent: c.Parent, Path: c.Path, ScopePrefix: c.ScopePrefix, Systemd: c.Systemd})
	if err != nil {
		return err
	}
	return os.WriteFile(d.halfPath(id), text, 0o600)
}

func (d *Driver) endHalf(id string) { _ = os.Remove(d.halfPath(id)) }

// removeHalf ends the processes of a half and removes its cgroup. There need not be one.
func (d *Driver) removeHalf(id string) error {
	text, err := os.ReadFile(d.halfPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var h half
	// An empty or torn file was written before anything else was done.
	if json.Unmarshal(text, &h) == nil {
		m, err := manager.New(&cgroups.Cgroup{
			Name: h.Name, Parent: h.Parent, Path: h.Path, ScopePrefix: h.ScopePrefix, Systemd: h.Systemd, Resources: &cgroups.Resources{},
		})
		if err != nil {
			return err
		}
		if err := settle(func() error { return endCgroup(m) }); err != nil {
			return fmt.Errorf("remove half of container %s: %w", id, err)
		}
	}
	return os.Remove(d.halfPath(id))
}

func endCgroup(m cgroups.Manager) error {
	// Killed before it joined the last hierarchy, a process is in some groups only.
	for _, path := range m.GetPaths() {
		pids, err := cgroups.GetAllPids(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return m.Destroy()
}
