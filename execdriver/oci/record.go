package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/lateoom"
	"github.com/jobengine/engine/internal/pidfd"
)

// record is what is known of a container that Create has completed.
type record struct {
	pidfd.Process
	SharedPID    bool   // no pid namespace of its own
	MemoryCgroup string `json:",omitempty"` // folder
	// OutOfMemory is there for a scope of systemd, which goes with its last process.
	OutOfMemory *lateoom.Trace `json:",omitempty"`
}

func (d *Driver) recordPath(id string) string { return filepath.Join(d.dir(id), "record.json") }

// pausedPath is a file that is there while the container may be paused.
func (d *Driver) pausedPath(id string) string { return filepath.Join(d.dir(id), "paused") }

func (d *Driver) saveRecord(id string, p pidfd.Process, spec *specs.Spec) error {
	r := record{Process: p, MemoryCgroup: memoryCgroup(p.Pid), SharedPID: sharesPID(spec)}
	if spec.Linux != nil && cgroupnames.IsSystemd(spec.Linux.CgroupsPath) {
		r.OutOfMemory = lateoom.Begin(r.MemoryCgroup)
	}
	return save(d.recordPath(id), r)
}

func save(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	// No rename is needed: until Create has answered, nobody reads it.
	return os.WriteFile(path, text, 0o600)
}

func (d *Driver) record(id string) (record, error) {
	var r record
	text, err := os.ReadFile(d.recordPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return r, execdriver.ErrNotFound
	} else if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("record of container %s: %w", id, err)
	}
	return r, nil
}

// memoryGroup is for the Meter.
func (d *Driver) memoryGroup(id string) (execdriver.MemoryGroup, error) {
	r, err := d.record(id)
	return execdriver.MemoryGroup{Dir: r.MemoryCgroup, First: r.Process, Late: r.OutOfMemory}, err
}

func sharesPID(spec *specs.Spec) bool {
	return spec.Linux == nil || !slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.PIDNamespace && n.Path == ""
	})
}

// memoryCgroup is the folder of the cgroup that counts the process's memory, "" if there is none.
func memoryCgroup(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	unified := ""
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(fields) != 3:
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			return filepath.Join("/sys/fs/cgroup/memory", fields[2])
		case fields[0] == "0":
			unified = filepath.Join("/sys/fs/cgroup", fields[2])
		}
	}
	return unified
}

// readPid gives the process that the runtime has written into a file. It has not
// been reaped, because nobody but us could, so its number is still its own.
func readPid(path string) (pidfd.Process, error) {
	var p pidfd.Process
	text, err := os.ReadFile(path)
	if err != nil {
		return p, fmt.Errorf("the runtime's pid file: %w", err)
	}
	if p.Pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || p.Pid <= 1 {
		return p, fmt.Errorf("the runtime's pid file says %q", text)
	}
	p.StartTime, err = pidfd.StartTime(p.Pid)
	return p, err
}
