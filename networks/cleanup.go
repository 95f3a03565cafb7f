package networks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/networkdriver"
)

// CleanUp has the drivers remove all that they made on the host; records stay. It is
// called instead of Boot, and refuses while a container is connected.
func (n *Networks) CleanUp(ctx context.Context) error {
	entries, err := n.cfg.FS.ReadDir(n.cfg.RunDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		box := new(Box)
		if durable.ReadJSON(n.cfg.FS, filepath.Join(n.cfg.RunDir, e.Name()), box) == nil && (pidfd.Process{Pid: box.Pid, StartTime: box.StartTime}).Alive() {
			return errs.Conflict("container %s is connected to networks, process %d: stop it first", box.Name, box.Pid)
		}
	}
	var failed []error
	byDriver := map[string][]networkdriver.Network{}
	for _, nw := range n.all() {
		if !nw.ConfigOnly {
			byDriver[nw.Driver] = append(byDriver[nw.Driver], nw.forDriver())
		}
	}
	for name, driver := range n.cfg.Drivers {
		if c, ok := driver.(networkdriver.Cleaner); ok {
			if err := c.Clean(ctx, byDriver[name]); err != nil {
				failed = append(failed, fmt.Errorf("networks of driver %s: %w", name, err))
			}
		}
	}
	for _, e := range entries {
		failed = append(failed, n.cfg.FS.Remove(filepath.Join(n.cfg.RunDir, e.Name())))
	}
	return errors.Join(failed...)
}
