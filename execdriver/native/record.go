package native

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/lateoom"
	"github.com/jobengine/engine/internal/pidfd"
)

// record is what the short operations need to know of a container. It lies in
// libcontainer's folder of the container and goes away with it.
type record struct {
	pidfd.Process
	SharedPID bool // no pid namespace of its own
	// Cgroup folders; on cgroup v2 both are the one folder.
	MemoryCgroup  string `json:",omitempty"`
	FreezerCgroup string `json:",omitempty"`
	// OutOfMemory is there for a scope of systemd, which goes with its last process.
	OutOfMemory *lateoom.Trace `json:",omitempty"`
	// Cgroups are all of its cgroup folders, if removing them is all there is to
	// be done for its end, so that Delete need not read libcontainer's state, which
	// has the whole configuration in it. Nil says that there is more: hooks, a
	// pid namespace that others are in, a group of Intel's RDT.
	Cgroups []string `json:",omitempty"`
}

const recordName = "engine.json"

func (d *Driver) saveRecord(id string, c *libcontainer.Container) (record, error) {
	state, err := c.State()
	if err != nil {
		return record{}, err
	}
	r := record{
		Process:       pidfd.Process{Pid: state.InitProcessPid, StartTime: state.InitProcessStartTime},
		SharedPID:     !state.Config.Namespaces.IsPrivate(configs.NEWPID),
		MemoryCgroup:  cgroupOf(state.CgroupPaths, "memory"),
		FreezerCgroup: cgroupOf(state.CgroupPaths, "freezer"),
	}
	if !r.SharedPID && len(state.Config.Hooks) == 0 && state.Config.IntelRdt == nil && !state.Config.Cgroups.Systemd {
		r.Cgroups = slices.Compact(slices.Sorted(maps.Values(state.CgroupPaths)))
	}
	if state.Config.Cgroups.Systemd {
		r.OutOfMemory = lateoom.Begin(r.MemoryCgroup)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return record{}, err
	}
	// No rename is needed: until Create has answered, nobody reads it.
	return r, os.WriteFile(filepath.Join(d.dir(id), recordName), text, 0o600)
}

func cgroupOf(paths map[string]string, controller string) string {
	if p, ok := paths[controller]; ok {
		return p
	}
	return paths[""]
}

// record gives the record of a container that Create has completed.
func (d *Driver) record(id string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(d.dir(id), recordName))
	if errors.Is(err, os.ErrNotExist) {
		return r, execdriver.ErrNotFound
	} else if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// memoryGroup is for the Meter.
func (d *Driver) memoryGroup(id string) (execdriver.MemoryGroup, error) {
	r, err := d.record(id)
	return execdriver.MemoryGroup{Dir: r.MemoryCgroup, First: r.Process, Late: r.OutOfMemory}, err
}

// changeRecord replaces the record of a container. Whoever reads it meanwhile
// sees the old or the new one.
func (d *Driver) changeRecord(id string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.WriteFileUnsynced(durable.OS, filepath.Join(d.dir(id), recordName), text, 0o600)
}
