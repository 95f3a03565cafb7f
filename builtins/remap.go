package builtins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/idmap"
)

// remapFor works out whose ids containers have, sees that the graph driver can
// give them their trees, and lets their root into the exec root, where the trees
// are. The data root stays closed to it.
func remapFor(cfg Config, graph graphdriver.Driver) (idmap.Map, error) {
	roots := filepath.Join(cfg.ExecRoot, "roots")
	ids, changed, err := idmap.HostAccounts().Remap(cfg.UsernsRemap)
	for _, what := range changed {
		cfg.Log.Warnf("userns-remap: %s", what)
	}
	if err != nil {
		return ids, err
	}
	if ids.IsZero() {
		if cfg.UsernsRemap != "" {
			cfg.Log.Warnf("userns-remap: %s would be mapped to itself: containers have the host's ids", cfg.UsernsRemap)
		}
		// Containers of a former daemon may still live there.
		if err := os.Remove(roots); err == nil {
			err = errors.Join(os.Chown(cfg.ExecRoot, 0, 0), os.Chmod(cfg.ExecRoot, 0o700))
			return ids, err
		}
		return ids, nil
	}
	if _, err := graphdriver.RemapperOf(graph, ids); err != nil {
		return ids, fmt.Errorf("userns-remap: %w", err)
	}
	uid, gid, err := ids.Root()
	if err != nil {
		return ids, err
	}
	if err := os.Mkdir(roots, 0o710); err != nil && !os.IsExist(err) {
		return ids, err
	}
	for _, dir := range []string{cfg.ExecRoot, roots} {
		if err := errors.Join(os.Chown(dir, 0, gid), os.Chmod(dir, 0o710)); err != nil {
			return ids, err
		}
	}
	if blocked := firstClosed(cfg.ExecRoot, uint32(uid), uint32(gid)); blocked != "" {
		return ids, errs.Invalid("userns-remap: the exec root %s is out of reach of the user %d: the folder %s does not let others in", cfg.ExecRoot, uid, blocked)
	}
	cfg.Log.Infof("containers have user namespaces of their own: %s", ids)
	return ids, nil
}

// firstClosed gives the first folder on the way to path that a user cannot enter, "" for none.
func firstClosed(path string, uid, gid uint32) string {
	path = filepath.Clean(path)
	if path != "/" {
		if blocked := firstClosed(filepath.Dir(path), uid, gid); blocked != "" {
			return blocked
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return path
	}
	need := uint32(0o001)
	switch {
	case st.Uid == uid:
		need = 0o100
	case st.Gid == gid:
		need = 0o010
	}
	if st.Mode&need == 0 {
		return path
	}
	return ""
}

func securityOptions(remap idmap.Map) []string {
	if remap.IsZero() {
		return nil
	}
	return []string{"name=userns"}
}
