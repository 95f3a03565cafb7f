package oci

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/rlimit"
)

// Exec implements execdriver.Driver.
func (d *Driver) Exec(ctx context.Context, id string, p *specs.Process, stdio execdriver.Stdio) (execdriver.Process, error) {
	var none execdriver.Process
	if len(p.Args) == 0 {
		return none, errors.New("no program to run")
	}
	r, err := d.record(id)
	if err != nil {
		return none, err
	}
	if !r.Alive() {
		return none, execdriver.ErrNotRunning
	}
	dir, err := os.MkdirTemp(d.dir(id), "exec-")
	if err != nil {
		return none, err
	}
	defer os.RemoveAll(dir)
	process := *rlimit.WithinReach(p)
	if process.Capabilities == nil {
		process.Capabilities = &specs.LinuxCapabilities{} // not the container's
	}
	description, pidFile, log := filepath.Join(dir, "process.json"), filepath.Join(dir, "pid"), filepath.Join(dir, "log.json")
	if err := save(description, process); err != nil {
		return none, err
	}
	args := []string{"exec", "--process", description, "--pid-file", pidFile, "--detach"}
	_, x, err := d.launch(launch{
		pidFile: pidFile, log: log, process: p, stdio: stdio,
		command: func(console ...string) *exec.Cmd {
			return d.command(ctx, id, log, append(append(args, console...), id)...)
		},
	})
	if err != nil && !r.Alive() {
		return none, execdriver.ErrNotRunning
	}
	return x, err
}
