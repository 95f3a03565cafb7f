package oci

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// OOMKilled implements execdriver.OOMTeller from the cgroup's counter:
// memory.events on cgroup v2, memory.oom_control on v1 (Linux 4.13).
func (d *Driver) OOMKilled(_ context.Context, id string) (bool, error) {
	r, err := d.record(id)
	if err != nil || r.MemoryCgroup == "" {
		return false, err
	}
	if r.OutOfMemory.Tells(r.Process) {
		return true, nil
	}
	for _, name := range []string{"memory.events", "memory.oom_control"} {
		text, err := os.ReadFile(filepath.Join(r.MemoryCgroup, name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				return strings.TrimSpace(n) != "0", nil
			}
		}
	}
	return false, nil
}
