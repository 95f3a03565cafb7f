package containers

import (
	"os"
	"path/filepath"

	"github.com/jobengine/engine/internal/durable"
)

// keptPath is where an exit waits that the data root has no space for.
func (c *Containers) keptPath(id string) string {
	return filepath.Join(c.cfg.ExecRoot, "exits", id+".json")
}

// keepExit puts an exit into the exec root, where the next daemon finds it: on a
// full disk some file systems cannot even write over what is there.
func (c *Containers) keepExit(e Exit) error {
	if err := os.MkdirAll(filepath.Join(c.cfg.ExecRoot, "exits"), 0o700); err != nil {
		return err
	}
	return durable.WriteJSONUnsynced(durable.OS, c.keptPath(e.Container), e, 0o600)
}

// keptExit is the exit of the last run, if it had to be kept so.
func (c *Containers) keptExit(ct *Container) (e Exit, ok bool) {
	err := durable.ReadJSON(durable.OS, c.keptPath(ct.id), &e)
	return e, err == nil && !e.At.Before(ct.Snapshot().State.StartedAt)
}

// sweepKept removes the exits that are written down by now.
func (c *Containers) sweepKept() {
	entries, _ := os.ReadDir(filepath.Join(c.cfg.ExecRoot, "exits"))
	for _, entry := range entries {
		path := filepath.Join(c.cfg.ExecRoot, "exits", entry.Name())
		var e Exit
		if durable.ReadJSON(durable.OS, path, &e) == nil {
			if s, err := c.read(e.Container); err == nil && s.State.Running {
				continue // what the disk says of it still waits for space
			}
		}
		_ = os.Remove(path)
	}
}
