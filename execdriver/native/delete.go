package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/failpoint"
)

// Delete implements execdriver.Driver.
func (d *Driver) Delete(_ context.Context, id string) error {
	d.mu.Lock()
	c := d.created[id]
	delete(d.created, id)
	d.mu.Unlock()
	if c == nil {
		if done, err := d.deletePlain(id); done {
			return err
		}
		var err error
		c, err = d.load(id)
		if errors.Is(err, execdriver.ErrNotFound) {
			// Nothing, or what a killed Create left before it had a cgroup or a process.
			if err := d.removeHalf(id); err != nil {
				return err
			}
			return os.RemoveAll(d.dir(id))
		} else if err != nil {
			return err
		}
	}
	if err := kill(c); err != nil {
		return err
	}
	if err := settle(c.Destroy); err != nil {
		return fmt.Errorf("free container %s: %w", id, err)
	}
	if err := failpoint.Hit(failpoint.ExecDelete); err != nil {
		return err
	}
	return d.removeHalf(id)
}

// deletePlain removes a container that has ended and has nothing but folders. It
// does what libcontainer's Destroy would do, without its state.
func (d *Driver) deletePlain(id string) (done bool, err error) {
	r, err := d.record(id)
	if err != nil || len(r.Cgroups) == 0 || r.Alive() {
		return false, nil
	}
	for _, path := range r.Cgroups {
		if err := settle(func() error { return cgroups.RemovePath(path) }); err != nil {
			return true, fmt.Errorf("free container %s: %w", id, err)
		}
	}
	if err := failpoint.Hit(failpoint.ExecDelete); err != nil {
		return true, err
	}
	if err := os.RemoveAll(d.dir(id)); err != nil {
		return true, err
	}
	return true, d.removeHalf(id)
}

// kill ends the first process and, where it is alone in its pid namespace, all others.
func kill(c *libcontainer.Container) error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status == libcontainer.Stopped {
		return nil
	}
	if err := c.Signal(unix.SIGKILL); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) {
		return fmt.Errorf("kill container: %w", err)
	}
	if status == libcontainer.Paused {
		_ = c.Resume()
	}
	for pause := time.Millisecond; pause < 5*time.Second; pause *= 2 {
		if status, err := c.Status(); err != nil || status == libcontainer.Stopped {
			return err
		}
		time.Sleep(pause)
	}
	return errors.New("the container's first process does not die")
}
