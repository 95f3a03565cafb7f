package client

import (
	"context"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/supervisor/protocol"
)

// Update changes the limits of a container that runs. What is nil or empty stays.
func (c *Client) Update(ctx context.Context, id string, limits *specs.LinuxResources) error {
	return c.do(ctx, protocol.OpUpdate, protocol.Update{ID: id, Limits: limits})
}

// Stats tells what a running container uses.
func (c *Client) Stats(ctx context.Context, id string) (protocol.Stats, error) {
	var out protocol.Stats
	_, err := c.call(ctx, protocol.OpStats, protocol.Target{ID: id}, &out)
	return out, err
}
