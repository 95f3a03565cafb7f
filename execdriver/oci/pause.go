package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

// Pause implements execdriver.Pauser.
func (d *Driver) Pause(ctx context.Context, id string) error {
	if _, err := d.record(id); err != nil {
		return err
	}
	if d.paused(id) {
		if status, err := d.status(ctx, id); err != nil || status == "paused" {
			return err
		}
	}
	// First the mark, so that SIGKILL knows of it should we die in between.
	if err := os.WriteFile(d.pausedPath(id), nil, 0o600); err != nil {
		return err
	}
	if _, err := d.call(ctx, id, "pause", id); err != nil {
		_ = os.Remove(d.pausedPath(id))
		return err
	}
	return nil
}

// Resume implements execdriver.Pauser.
func (d *Driver) Resume(ctx context.Context, id string) error {
	if _, err := d.record(id); err != nil || !d.paused(id) {
		return err
	}
	if _, err := d.call(ctx, id, "resume", id); err != nil {
		if status, serr := d.status(ctx, id); serr != nil || status == "paused" {
			return err
		}
	}
	return os.Remove(d.pausedPath(id))
}

func (d *Driver) paused(id string) bool {
	_, err := os.Stat(d.pausedPath(id))
	return err == nil
}

// Pids implements execdriver.Pidser.
func (d *Driver) Pids(ctx context.Context, id string) ([]int, error) {
	text, err := d.call(ctx, id, "ps", "-f", "json", id)
	if err != nil {
		return nil, err
	}
	var pids []int
	if err := json.Unmarshal(text, &pids); err != nil {
		return nil, fmt.Errorf("the runtime's list of processes: %w", err)
	}
	return pids, nil
}
