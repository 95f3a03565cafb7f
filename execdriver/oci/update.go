package oci

import (
	"context"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
)

// Update implements execdriver.Updater.
func (d *Driver) Update(ctx context.Context, id string, limits *specs.LinuxResources) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.Alive() {
		return execdriver.ErrNotRunning
	}
	path := filepath.Join(d.dir(id), "limits.json")
	if err := save(path, limits); err != nil {
		return err
	}
	defer os.Remove(path)
	_, err = d.call(ctx, id, "update", "--resources", path, id)
	return err
}
