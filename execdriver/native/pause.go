package native

import "context"

// Pause implements execdriver.Pauser.
func (d *Driver) Pause(_ context.Context, id string) error {
	c, err := d.load(id)
	if err != nil {
		return err
	}
	return classify(c.Pause())
}

// Resume implements execdriver.Pauser.
func (d *Driver) Resume(_ context.Context, id string) error {
	c, err := d.load(id)
	if err != nil {
		return err
	}
	return classify(c.Resume())
}

// Pids implements execdriver.Pidser.
func (d *Driver) Pids(_ context.Context, id string) ([]int, error) {
	c, err := d.load(id)
	if err != nil {
		return nil, err
	}
	return c.Processes()
}
