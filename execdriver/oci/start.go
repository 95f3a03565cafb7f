package oci

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jobengine/engine/execdriver"
)

// Start implements execdriver.Driver.
func (d *Driver) Start(ctx context.Context, id string) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.Alive() {
		return execdriver.ErrNotRunning
	}
	_, err = d.call(ctx, id, "start", id)
	if err == nil {
		return nil
	}
	// Somebody may have started it before, or killed it meanwhile.
	switch status, serr := d.status(ctx, id); {
	case serr != nil:
		return err
	case status == "running" || status == "paused":
		return nil
	case status == "stopped":
		return execdriver.ErrNotRunning
	}
	return err
}

// status is "created", "running", "stopped", "paused" or a word of the runtime's own.
func (d *Driver) status(ctx context.Context, id string) (string, error) {
	text, err := d.call(ctx, id, "state", id)
	if err != nil {
		return "", err
	}
	var state struct{ Status string }
	if err := json.Unmarshal(text, &state); err != nil {
		return "", fmt.Errorf("the runtime's state of a container: %w", err)
	}
	return state.Status, nil
}
