package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/pidfd"
)

// Delete implements execdriver.Driver.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if _, err := os.Stat(d.dir(id)); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := d.awaitCreate(id); err != nil {
		return err
	}
	// A runtime waits for the end of a frozen process in vain; Signal thaws it.
	if err := d.Signal(ctx, id, unix.SIGKILL); err == nil {
		r, err := d.record(id)
		if err != nil {
			return err
		}
		if !settle(func() bool { return !r.Alive() }) {
			return errors.New("the container's first process does not die")
		}
	} else if !errors.Is(err, execdriver.ErrNotRunning) && !errors.Is(err, execdriver.ErrNotFound) {
		return err
	}
	var err error
	// A cgroup stays busy for a moment after its last process ended.
	if !settle(func() bool {
		_, err = d.call(ctx, id, "delete", "--force", id)
		return err == nil
	}) {
		return fmt.Errorf("free container %s: %w", id, err)
	}
	return os.RemoveAll(d.dir(id))
}

// awaitCreate waits for the end of a runtime that makes the container still:
// the process that called Create was killed meanwhile.
func (d *Driver) awaitCreate(id string) error {
	text, err := os.ReadFile(d.callPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var call pidfd.Process
	if json.Unmarshal(text, &call) == nil && !settle(func() bool { return !call.Alive() }) {
		return fmt.Errorf("the runtime, process %d, does not end", call.Pid)
	}
	return nil
}

// settle asks until it is so, for some seconds.
func settle(isSo func() bool) bool {
	for pause := time.Millisecond; pause < 4*time.Second; pause *= 2 {
		if isSo() {
			return true
		}
		time.Sleep(pause)
	}
	return isSo()
}
