package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
)

// Driver is the exec driver for runtime binaries. Make it with New.
type Driver struct {
	stateDir string
	path     string // of the runtime, or its name on PATH

	// becomeReaper makes this process the parent of what the runtime leaves running.
	becomeReaper func() error
}

// New opens the driver. The option "path" is the runtime's program, runc by
// default. It is looked for when it is needed: a host without it can run
// containers with other drivers.
func New(o execdriver.Options) (execdriver.Driver, error) {
	if !filepath.IsAbs(o.StateDir) {
		return nil, fmt.Errorf("oci: state folder %q is not an absolute path", o.StateDir)
	}
	d := &Driver{stateDir: o.StateDir, path: "runc", becomeReaper: sync.OnceValue(func() error {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	})}
	for name, value := range o.Options {
		if name != "path" || value == "" {
			return nil, fmt.Errorf("oci: unknown option %s=%q", name, value)
		}
		d.path = value
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
	path, err := exec.LookPath(d.path)
	if err != nil {
		path = d.path + " (missing)"
	}
	return [][2]string{{"OCI Runtime", path}}
}

// command makes a call of the runtime that logs to the file.
func (d *Driver) command(ctx context.Context, log, verb string, args ...string) *exec.Cmd {
	all := append([]string{"--root", d.runtimeDir(), "--log", log, "--log-format", "json", verb}, args...)
	return exec.CommandContext(ctx, d.path, all...)
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
	out, err := d.command(ctx, log.Name(), verb, args...).Output()
	return out, failure(err, log.Name())
}
