package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runc/libcontainer"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/pidfd"
)

// Signal implements execdriver.Driver. SIGKILL also thaws a paused container,
// as a frozen process does not die.
func (d *Driver) Signal(ctx context.Context, id string, sig syscall.Signal) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.Alive() {
		return execdriver.ErrNotRunning
	}
	if sig != unix.SIGKILL {
		awaitProgram(r.Pid)
	}
	if sig == unix.SIGKILL && r.OutOfMemory != nil {
		// What dies of this does not die for lack of memory.
		r.OutOfMemory = nil
		if err := d.changeRecord(id, r); err != nil {
			return err
		}
	}
	if err := pidfd.SignalTo(r.Process, sig); errors.Is(err, os.ErrProcessDone) {
		return execdriver.ErrNotRunning
	} else if err != nil {
		return fmt.Errorf("signal %d: %w", sig, err)
	}
	if sig == unix.SIGKILL && r.frozen() {
		// Thawed, it dies, and systemd removes its scope while that is being looked at.
		if err := d.Resume(ctx, id); err != nil && r.Alive() {
			return err
		}
	}
	return nil
}

// stagePatience bounds how long a process can be taken for libcontainer's.
const stagePatience = 200 * time.Millisecond

// awaitProgram waits until a process that Start has just released has become the
// user's program. Before, for a millisecond, a signal would end libcontainer's
// own stage, with an exit code that is not the program's.
func awaitProgram(pid int) {
	for deadline := time.Now().Add(stagePatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		// The name that libcontainer gives its stages.
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || !strings.HasPrefix(string(comm), "runc:[") {
			return
		}
	}
}

// KillAll implements execdriver.Killer.
func (d *Driver) KillAll(_ context.Context, id string) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.SharedPID && !r.Alive() {
		return nil // the kernel has killed them with their pid namespace
	}
	c, err := d.load(id)
	if err != nil {
		return err
	}
	if err := c.Signal(unix.SIGKILL); !errors.Is(err, libcontainer.ErrNotRunning) {
		return classify(err)
	}
	return nil // a scope of systemd is gone with its last process
}

func (r record) frozen() bool {
	if state, err := os.ReadFile(filepath.Join(r.FreezerCgroup, "freezer.state")); err == nil {
		return strings.TrimSpace(string(state)) != "THAWED"
	}
	state, err := os.ReadFile(filepath.Join(r.FreezerCgroup, "cgroup.freeze"))
	return err == nil && strings.TrimSpace(string(state)) == "1"
}
