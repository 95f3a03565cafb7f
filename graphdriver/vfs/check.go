package vfs

import (
	"context"
	"os"

	"github.com/jobengine/engine/internal/errs"
)

// Check looks at a layer's record and whether its tree is there.
func (d *trees) Check(_ context.Context, id string) error {
	if _, err := d.load(id); err != nil {
		return err
	}
	if st, err := os.Lstat(d.root(id)); err != nil || !st.IsDir() {
		return errs.DataLoss("layer %s is damaged: its tree is missing", id)
	}
	return nil
}
