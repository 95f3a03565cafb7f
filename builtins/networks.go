package builtins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/events"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks"
)

// openNetworks opens all network drivers and makes the networks. It comes before the containers,
// which are connected to them when they start.
func (set *Set) openNetworks(ctx context.Context, eng *engine.Engine, cfg Config, id identity, bus *events.Events) (*networks.Networks, error) {
	c := cfg.Network
	if c.Bridge == "" {
		c.Bridge = "none"
	}
	dc := networkdriver.Config{Instance: instance(cfg.ExecRoot), IPForward: c.Forward, Log: cfg.Log}
	if c.GivenBridge {
		dc.GivenBridge = c.Bridge
	}
	drivers := map[string]networkdriver.Driver{}
	for _, name := range set.Network.Names() {
		open, _ := set.Network.Get(name)
		d, err := open(dc)
		if err != nil {
			return nil, fmt.Errorf("network driver %s: %w", name, err)
		}
		drivers[name] = d
	}
	nets, err := networks.New(networks.Config{
		Dir: filepath.Join(cfg.DataRoot, "networks"), RunDir: filepath.Join(cfg.ExecRoot, "networks"),
		EngineID: id.ID, Created: id.Created, Drivers: drivers, Pools: c.AddressPools, BindIP: c.BindIP,
		Default: networks.Default{
			Bridge: c.Bridge, Address: c.Address, FixedRange: c.FixedRange, FixedIPv6: c.FixedIPv6, EnableIPv6: c.IPv6,
			MTU: c.MTU, ICC: c.ICC, Masq: c.Masq,
		},
		Events: bus, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("networks: %w", err)
	}
	eng.OnShutdown("networks", func(context.Context) error { return nets.Close() })
	if err := nets.Boot(ctx); err != nil {
		return nil, fmt.Errorf("networks: %w", err)
	}
	return nets, nil
}

// instance names what engines have on the host beside each other: the one with the usual exec
// root is called engine.
func instance(execRoot string) string {
	if execRoot = filepath.Clean(execRoot); execRoot == "/run/engine" || execRoot == "/var/run/engine" {
		return "engine"
	}
	sum := sha256.Sum256([]byte(execRoot))
	return "engine-" + hex.EncodeToString(sum[:4])
}
