package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
)

// Update implements execdriver.Updater: the limits are written down, and hold nobody.
func (d *Driver) Update(_ context.Context, id string, limits *specs.LinuxResources) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.Alive() {
		return execdriver.ErrNotRunning
	}
	now, err := d.limits(id)
	if err != nil {
		return err
	}
	if limits.Memory != nil {
		now.Memory = limits.Memory
	}
	if limits.Pids != nil {
		now.Pids = limits.Pids
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return os.WriteFile(d.limitsPath(id), text, 0o600)
}

func (d *Driver) limitsPath(id string) string { return filepath.Join(d.dir(id), "limits.json") }

func (d *Driver) limits(id string) (now specs.LinuxResources, err error) {
	text, err := os.ReadFile(d.limitsPath(id))
	if os.IsNotExist(err) {
		return now, nil
	} else if err != nil {
		return now, err
	}
	return now, json.Unmarshal(text, &now)
}

// Stats implements execdriver.Statser from /proc of the container's processes:
// what those that have ended used is forgotten.
func (d *Driver) Stats(_ context.Context, id string) (execdriver.Stats, error) {
	u := execdriver.Stats{Read: time.Now().UTC()}
	if _, err := d.record(id); err != nil {
		return u, err
	}
	limits, err := d.limits(id)
	if err != nil {
		return u, err
	}
	u.Memory.Limit = ^uint64(0)
	if m := limits.Memory; m != nil && m.Limit != nil && *m.Limit > 0 {
		u.Memory.Limit = uint64(*m.Limit)
	}
	if p := limits.Pids; p != nil && p.Limit != nil && *p.Limit > 0 {
		u.Pids.Limit = uint64(*p.Limit)
	}
	pids, err := d.members(id)
	for _, pid := range pids {
		u.Pids.Current++
		u.CPU.Total += schedTime(pid)
		u.Memory.Usage += residentBytes(pid)
	}
	u.CPU.User = u.CPU.Total
	return u, err
}

// schedTime is the time on a CPU in nanoseconds, from /proc/PID/schedstat.
func schedTime(pid int) uint64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	first, _, _ := strings.Cut(string(text), " ")
	n, _ := strconv.ParseUint(first, 10, 64)
	return n
}

func residentBytes(pid int) uint64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(f[1], 10, 64)
	return n * uint64(os.Getpagesize())
}
