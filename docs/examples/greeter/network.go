package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge"
)

// crowded makes bridge networks that have room for so many containers and no more: -o room=2. It
// embeds our bridge driver as it is, and not as a Driver, so that it keeps the optional
// interfaces: ports are published, and a restart is survived.
type crowded struct {
	*bridge.Driver

	mu   sync.Mutex
	room map[string]int             // by network
	in   map[string]map[string]bool // endpoints by network
}

func newCrowded(cfg networkdriver.Config) (networkdriver.Driver, error) {
	// Interfaces and rules on the host are told apart by this name: ours are not the bridge driver's.
	cfg.Instance += "-crowded"
	cfg.GivenBridge = ""
	d, err := bridge.New(cfg)
	if err != nil {
		return nil, err
	}
	return &crowded{Driver: d.(*bridge.Driver), room: map[string]int{}, in: map[string]map[string]bool{}}, nil
}

// CreateNetwork understands our option; the bridge driver has its own name space for its options.
func (c *crowded) CreateNetwork(ctx context.Context, n networkdriver.Network) error {
	if err := c.admit(n); err != nil {
		return err
	}
	return c.Driver.CreateNetwork(ctx, n)
}

func (c *crowded) admit(n networkdriver.Network) error {
	room := 1 << 30
	if text, ok := n.Options["room"]; ok {
		var err error
		if room, err = strconv.Atoi(text); err != nil || room < 0 {
			return fmt.Errorf("invalid value for \"room\": %q is not a number: %w", text, errdefs.ErrInvalidArgument)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room[n.ID] = room; c.in[n.ID] == nil {
		c.in[n.ID] = map[string]bool{}
	}
	return nil
}

// CreateEndpoint takes a place, or says that there is none. An error leaves nothing behind.
func (c *crowded) CreateEndpoint(ctx context.Context, e networkdriver.Endpoint) (networkdriver.Endpoint, error) {
	c.mu.Lock()
	in, room := c.in[e.NetworkID], c.room[e.NetworkID]
	full := in != nil && !in[e.ID] && len(in) >= room
	if in != nil && !full {
		in[e.ID] = true
	}
	c.mu.Unlock()
	if full {
		return e, fmt.Errorf("the network has room for %d containers: %w", room, errdefs.ErrResourceExhausted)
	}
	made, err := c.Driver.CreateEndpoint(ctx, e)
	if err != nil {
		c.forget(e.NetworkID, e.ID)
	}
	return made, err
}

// DeleteEndpoint gives the place back.
func (c *crowded) DeleteEndpoint(ctx context.Context, networkID, endpointID string) error {
	err := c.Driver.DeleteEndpoint(ctx, networkID, endpointID)
	if err == nil {
		c.forget(networkID, endpointID)
	}
	return err
}

func (c *crowded) forget(networkID, endpointID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.in[networkID], endpointID)
}

// Restore is called instead of the others when the daemon starts: what we count has to be counted here too.
func (c *crowded) Restore(ctx context.Context, networks []networkdriver.Restored) error {
	for _, r := range networks {
		if err := c.admit(r.Network); err != nil {
			return err
		}
		c.mu.Lock()
		for _, e := range r.Endpoints {
			c.in[r.Network.ID][e.Endpoint.ID] = true
		}
		c.mu.Unlock()
	}
	return c.Driver.Restore(ctx, networks)
}
