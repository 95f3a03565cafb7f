package native

import (
	"context"
	"errors"

	"github.com/opencontainers/runc/libcontainer"
)

// Pause implements execdriver.Pauser.
func (d *Driver) Pause(_ context.Context, id string) error {
	c, err := d.load(id)
	if err != nil {
		return err
	}
	if status, err := c.Status(); err != nil {
		return err
	} else if status == libcontainer.Paused {
		return nil // libcontainer would say that it does not run
	}
	return classify(c.Pause())
}

// Resume implements execdriver.Pauser.
func (d *Driver) Resume(_ context.Context, id string) error {
	c, err := d.load(id)
	if err != nil {
		return err
	}
	if err := c.Resume(); !errors.Is(err, libcontainer.ErrNotPaused) {
		return classify(err)
	}
	return nil // SIGKILL, for one, has thawed it before
}

// Pids implements execdriver.Pidser.
func (d *Driver) Pids(_ context.Context, id string) ([]int, error) {
	c, err := d.load(id)
	if err != nil {
		return nil, err
	}
	return c.Processes()
}
