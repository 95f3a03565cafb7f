package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/internal/rlimit"
)

// Create implements execdriver.Driver.
func (d *Driver) Create(ctx context.Context, id string, b execdriver.Bundle, stdio execdriver.Stdio) (p execdriver.Process, err error) {
	if b.Spec == nil || b.Spec.Process == nil || len(b.Spec.Process.Args) == 0 {
		return p, errors.New("the spec has no process to run")
	}
	if err := os.Mkdir(d.dir(id), 0o700); errors.Is(err, os.ErrExist) {
		return p, execdriver.ErrExists
	} else if err != nil {
		return p, err
	}
	defer func() {
		if errors.Is(err, errCannotRun) {
			_ = os.RemoveAll(d.dir(id)) // Delete would need the runtime
		} else if err != nil {
			// An error here would hide the real one.
			_ = d.Delete(context.WithoutCancel(ctx), id)
		}
	}()
	if err := save(d.programPath(id), d.program); err != nil {
		return p, err
	}
	bundle, err := d.bundle(id, b)
	if err != nil {
		return p, err
	}
	pidFile := filepath.Join(d.dir(id), "pid")
	args := []string{"create", "--bundle", bundle, "--pid-file", pidFile}
	if b.Spec.Linux != nil && cgroupnames.IsSystemd(b.Spec.Linux.CgroupsPath) {
		args = append([]string{"--systemd-cgroup"}, args...)
	}
	named, p, err := d.launch(launch{
		pidFile: pidFile, log: d.logPath(id), callFile: d.callPath(id), process: b.Spec.Process, stdio: stdio,
		command: func(console ...string) *exec.Cmd {
			return d.command(ctx, id, d.logPath(id), append(append(args, console...), id)...)
		},
	})
	if err != nil {
		return p, err
	}
	if err := d.saveRecord(id, named, b.Spec); err != nil {
		discard(p)
		return execdriver.Process{}, err
	}
	_ = os.Remove(d.callPath(id))
	return p, nil
}

// callPath is a file that names the runtime's process while it makes the container.
func (d *Driver) callPath(id string) string { return filepath.Join(d.dir(id), "creating.json") }

// version is what our specs say to runtimes. Those that know an older version only, such as
// Debian 12's crun, look at nothing else than this number; what is newer in a spec they leave out,
// whatever it says.
const version = "1.0.2"

// bundle makes a bundle with a changed copy of the spec, one that this process may run.
func (d *Driver) bundle(id string, b execdriver.Bundle) (string, error) {
	spec := *b.Spec
	spec.Version, spec.Process = version, rlimit.WithinReach(b.Spec.Process)
	return d.dir(id), save(filepath.Join(d.dir(id), "config.json"), spec)
}

// launch is a call of the runtime that makes a process.
type launch struct {
	pidFile, log string
	callFile     string // gets the runtime's own process, if not ""
	process      *specs.Process
	stdio        execdriver.Stdio
	command      func(console ...string) *exec.Cmd
}

func (d *Driver) launch(l launch) (named pidfd.Process, p execdriver.Process, err error) {
	var cmd *exec.Cmd
	var bridge *bridge
	if l.process.Terminal {
		if bridge, err = openBridge(filepath.Dir(l.pidFile)); err != nil {
			return named, p, err
		}
		defer bridge.close()
		cmd = l.command("--console-socket", bridge.path)
	} else {
		cmd = l.command()
		// A nil *os.File in an interface would not be nil.
		if l.stdio.Stdin != nil {
			cmd.Stdin = l.stdio.Stdin
		}
		if l.stdio.Stdout != nil {
			cmd.Stdout = l.stdio.Stdout
		}
		if l.stdio.Stderr != nil {
			cmd.Stderr = l.stdio.Stderr
		}
	}
	if err := d.orphans.open(); err != nil {
		return named, p, err
	}
	defer func() { d.orphans.close(named.Pid) }()
	if err := cmd.Start(); err != nil {
		return named, p, fmt.Errorf("%w: %w", errCannotRun, err)
	}
	if l.callFile != "" {
		call := pidfd.Process{Pid: cmd.Process.Pid}
		if call.StartTime, err = pidfd.StartTime(call.Pid); err == nil {
			_ = save(l.callFile, call)
		}
	}
	if err := cmd.Wait(); err != nil {
		return named, p, failure(err, l.log)
	}
	if named, err = readPid(l.pidFile); err != nil {
		return named, p, err
	}
	p.Pid = named.Pid
	if p.PidFD, err = pidfd.Open(named); err != nil {
		return named, execdriver.Process{}, err
	}
	if bridge != nil {
		if err := bridge.forward(l.stdio.ConsoleSocket); err != nil {
			discard(p)
			return named, execdriver.Process{}, err
		}
	}
	return named, p, nil
}

// discard ends a process that the caller will not hear of.
func discard(p execdriver.Process) {
	_ = pidfd.Signal(p.PidFD, unix.SIGKILL)
	if started, err := pidfd.StartTime(p.Pid); err == nil {
		_, _ = pidfd.Await(p.PidFD, pidfd.Process{Pid: p.Pid, StartTime: started})
	}
	pidfd.Reap(p.PidFD)
	p.PidFD.Close()
}
