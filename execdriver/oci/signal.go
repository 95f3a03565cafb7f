package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/durable"
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
	if sig == unix.SIGKILL && r.OutOfMemory != nil {
		// What dies of this does not die for lack of memory.
		r.OutOfMemory = nil
		if text, err := json.Marshal(r); err != nil {
			return err
		} else if err := durable.WriteFileUnsynced(durable.OS, d.recordPath(id), text, 0o600); err != nil {
			return err
		}
	}
	if err := pidfd.SignalTo(r.Process, sig); errors.Is(err, os.ErrProcessDone) {
		return execdriver.ErrNotRunning
	} else if err != nil {
		return fmt.Errorf("signal %d: %w", sig, err)
	}
	if sig == unix.SIGKILL && d.paused(id) {
		return d.Resume(ctx, id)
	}
	return nil
}

// KillAll implements execdriver.Killer.
func (d *Driver) KillAll(ctx context.Context, id string) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.SharedPID && !r.Alive() {
		return nil // the kernel has killed them with their pid namespace
	}
	_, err = d.call(ctx, id, "kill", "--all", id, "KILL")
	return err
}
