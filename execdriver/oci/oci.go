package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/jobengine/engine/execdriver"
)

// Driver is the exec driver for runtime binaries. Make it with New.
type Driver struct {
	execdriver.Meter
	stateDir string
	program  program
	orphans  orphanage
}

// New opens the driver. The option "path" is the runtime's program, runc by
// default, "args" are arguments that it always gets. It is looked for when it is
// needed: a host without it can run containers with other drivers.
func New(o execdriver.Options) (execdriver.Driver, error) {
	if !filepath.IsAbs(o.StateDir) {
		return nil, fmt.Errorf("oci: state folder %q is not an absolute path", o.StateDir)
	}
	d := &Driver{stateDir: o.StateDir, program: program{Path: "runc"}}
	d.Group = d.memoryGroup
	if err := d.program.setOptions(o.Options); err != nil {
		return nil, err
	}
	for _, dir := range []string{d.runtimeDir(), filepath.Dir(d.dir("c"))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Driver) runtimeDir() string       { return filepath.Join(d.stateDir, "runtime") }
func (d *Driver) dir(id string) string     { return filepath.Join(d.stateDir, "containers", id) }
func (d *Driver) logPath(id string) string { return filepath.Join(d.dir(id), "log.json") }

// List names the containers that have a folder, also those that a killed Create left half-made.
func (d *Driver) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(d.dir("c")))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, nil
}

// Describe implements execdriver.Describer.
func (d *Driver) Describe() [][2]string {
	path, err := exec.LookPath(d.program.Path)
	if err != nil {
		path = d.program.Path + " (missing)"
	}
	return [][2]string{{"OCI Runtime", path}}
}

// command makes a call of the container's runtime that logs to the file.
func (d *Driver) command(ctx context.Context, id, log string, args ...string) *exec.Cmd {
	p := d.programOf(id)
	all := append(slices.Clone(p.Args), "--root", d.runtimeDir(), "--log", log, "--log-format", "json")
	return exec.CommandContext(ctx, p.Path, append(all, args...)...)
}

// call runs the runtime for a container, without stdio, and gives what it prints.
func (d *Driver) call(ctx context.Context, id, verb string, args ...string) ([]byte, error) {
	log, err := os.CreateTemp(d.dir(id), verb+"-*.log")
	if errors.Is(err, os.ErrNotExist) {
		return nil, execdriver.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	log.Close()
	defer os.Remove(log.Name())
	out, err := d.command(ctx, id, log.Name(), append([]string{verb}, args...)...).Output()
	return out, failure(err, log.Name())
}
