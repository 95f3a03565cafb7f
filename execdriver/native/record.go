package native

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/system"

	"github.com/jobengine/engine/execdriver"
)

// record is what the short operations need to know of a container. It lies in
// libcontainer's folder of the container and goes away with it.
type record struct {
	Pid       int
	StartTime uint64 // clock ticks since boot, from /proc/PID/stat
	SharedPID bool   // no pid namespace of its own
	// Cgroup folders; on cgroup v2 both are the one folder.
	MemoryCgroup  string `json:",omitempty"`
	FreezerCgroup string `json:",omitempty"`
}

const recordName = "engine.json"

func (d *Driver) saveRecord(id string, c *libcontainer.Container) (record, error) {
	state, err := c.State()
	if err != nil {
		return record{}, err
	}
	r := record{
		Pid:           state.InitProcessPid,
		StartTime:     state.InitProcessStartTime,
		SharedPID:     !state.Config.Namespaces.IsPrivate(configs.NEWPID),
		MemoryCgroup:  cgroupOf(state.CgroupPaths, "memory"),
		FreezerCgroup: cgroupOf(state.CgroupPaths, "freezer"),
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

// alive says whether the first process still runs. A zombie does not.
func (r record) alive() bool {
	stat, err := system.Stat(r.Pid)
	return err == nil && stat.StartTime == r.StartTime && stat.State != system.Zombie && stat.State != system.Dead
}

// open gives a pidfd of the first process, which is certain not to be of
// another process that got its number: the start time is compared after opening.
func (r record) open() (int, error) {
	fd, err := unix.PidfdOpen(r.Pid, 0)
	if err != nil {
		return -1, execdriver.ErrNotRunning
	}
	if !r.alive() {
		unix.Close(fd)
		return -1, execdriver.ErrNotRunning
	}
	return fd, nil
}
