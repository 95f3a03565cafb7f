package overlay2

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// Check looks at a layer's record and folders, and whether its parent is there.
func (d *Driver) Check(_ context.Context, id string) error {
	r, err := d.load(id)
	if err != nil {
		return err
	}
	dirs := map[string]string{"diff": d.diff(id), "merged": d.merged(id)}
	if r.ReadWrite {
		dirs["work"] = d.work(id)
	}
	for name, path := range dirs {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return errs.DataLoss("layer %s is damaged: its folder %s is missing", id, name)
		}
	}
	if r.Parent != "" && !d.present(r.Parent) {
		return errs.DataLoss("layer %s is damaged: its parent %s is missing", id, r.Parent)
	}
	return nil
}
