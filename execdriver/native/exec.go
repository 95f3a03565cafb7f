package native

import (
	"context"
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/opencontainers/runc/libcontainer"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/rlimit"
)

// Exec implements execdriver.Driver.
func (d *Driver) Exec(_ context.Context, id string, p *specs.Process, stdio execdriver.Stdio) (execdriver.Process, error) {
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
	c, err := d.load(id)
	if err != nil {
		return none, err
	}
	if status, err := c.Status(); err != nil {
		return none, err
	} else if status == libcontainer.Paused {
		// It would wait in the frozen cgroup for ever.
		return none, errors.New("cannot exec in a paused container")
	}
	lp, err := process(rlimit.WithinReach(p), stdio)
	if err != nil {
		return none, err
	}
	if err := c.Start(lp); err != nil {
		if !r.Alive() {
			return none, execdriver.ErrNotRunning
		}
		return none, classify(err)
	}
	pid, err := lp.Pid()
	if err != nil {
		return none, err
	}
	fd, err := openPidFD(pid)
	if err == nil {
		if err = failpoint.Hit(failpoint.ExecExec); err != nil {
			fd.Close()
		}
	}
	if err != nil {
		_ = lp.Signal(unix.SIGKILL)
		_, _ = lp.Wait()
		return none, err
	}
	return execdriver.Process{Pid: pid, PidFD: fd}, nil
}
