package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runc/libcontainer"

	"github.com/jobengine/engine/execdriver"
)

// Delete implements execdriver.Driver.
func (d *Driver) Delete(_ context.Context, id string) error {
	d.mu.Lock()
	c := d.created[id]
	delete(d.created, id)
	d.mu.Unlock()
	if c == nil {
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
	return d.removeHalf(id)
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
