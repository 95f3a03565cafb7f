package builtins

import (
	"context"
	"os"
	"path/filepath"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/cgroupdir"
	"github.com/jobengine/engine/internal/cgroupnames"
)

// tidyCgroup has the parent cgroup of the containers removed at the end, when
// it is empty and was not there before us: somebody else's group may carry
// limits that he wants to find again. A file in the exec root remembers it for
// the daemons that come after this one.
func tidyCgroup(eng *engine.Engine, cfg Config) {
	if cfg.CgroupDriver == cgroupnames.Systemd {
		return // slices are systemd's
	}
	mark := filepath.Join(cfg.ExecRoot, "made-cgroup-parent")
	if !cgroupdir.Exists(cfg.CgroupParent) {
		_ = os.WriteFile(mark, []byte(cfg.CgroupParent+"\n"), 0o600)
	}
	eng.OnShutdown("cgroup parent", func(context.Context) error {
		made, err := os.ReadFile(mark)
		if err != nil || string(made) != cfg.CgroupParent+"\n" {
			return nil
		}
		if err := cgroupdir.RemoveEmpty(cfg.CgroupParent); err != nil {
			return err
		}
		if !cgroupdir.Exists(cfg.CgroupParent) {
			return os.Remove(mark)
		}
		return nil
	})
}
