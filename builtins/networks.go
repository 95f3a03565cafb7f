package builtins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/events"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks"
	"github.com/jobengine/engine/networks/ipam"
)

// openNetworks opens all network drivers and makes the networks. It comes before the containers,
// which are connected to them when they start.
func (set *Set) openNetworks(ctx context.Context, eng *engine.Engine, cfg Config, id identity, bus *events.Events) (*networks.Networks, error) {
	nets, err := set.newNetworks(cfg, id, bus)
	if err != nil {
		return nil, err
	}
	eng.OnShutdown("networks", func(context.Context) error { return nets.Close() })
	err = nets.Boot(ctx)
	if errors.Is(err, networks.ErrNoDefault) {
		return nil, noBridge(err)
	}
	if err != nil {
		return nil, fmt.Errorf("networks: %w", err)
	}
	return nets, nil
}

// newNetworks opens the drivers and reads the records of networks; nothing is made yet.
func (set *Set) newNetworks(cfg Config, id identity, bus *events.Events) (*networks.Networks, error) {
	c := cfg.Network
	dc := networkdriver.Config{Instance: instance(cfg.ExecRoot), IPForward: c.Forward, Log: cfg.Log}
	if c.Bridge == "" {
		c.Bridge = ownBridge(dc.Instance)
	}
	if c.GivenBridge {
		dc.GivenBridge = c.Bridge
	}
	drivers := map[string]networkdriver.Driver{}
	for _, name := range set.Network.Names() {
		open, _ := set.Network.Get(name)
		d, err := open(dc)
		switch {
		case err == nil:
			drivers[name] = d
		case name == networks.DefaultDriver && c.Bridge != "none":
			return nil, noBridge(err)
		default:
			cfg.Log.Warnf("network driver %s does not work here, and there will be no such networks: %v", name, err)
		}
	}
	nets, err := networks.New(networks.Config{
		Dir: filepath.Join(cfg.DataRoot, "networks"), RunDir: filepath.Join(cfg.ExecRoot, "networks"),
		EngineID: id.ID, Created: id.Created, Drivers: drivers, Pools: c.AddressPools, BindIP: c.BindIP,
		Servers: c.DNS.Servers, Resolvers: c.DNS.File, HostGateway: c.HostGateway,
		Default: networks.Default{
			Bridge: c.Bridge, Given: c.GivenBridge, Address: c.Address, FixedRange: c.FixedRange, FixedIPv6: c.FixedIPv6, EnableIPv6: c.IPv6,
			MTU: c.MTU, ICC: c.ICC, Masq: c.Masq,
		},
		Events: bus, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("networks: %w", err)
	}
	return nets, nil
}

// DefaultBridge is the interface of the network "bridge" that the engine makes itself.
const DefaultBridge = "engine0"

// ownBridge is that of an engine: those beside the usual one have bridges of their own.
func ownBridge(instance string) string {
	if instance == "engine" {
		return DefaultBridge
	}
	return instance
}

// noBridge says what is missing for the default network, and how to go on.
func noBridge(err error) error {
	why := "the kernel needs bridges, pairs of virtual interfaces, and nftables; "
	switch {
	case errors.Is(err, networkdriver.ErrInUse), errors.Is(err, networkdriver.ErrNotFound), errors.Is(err, ipam.ErrNoPool):
		why = "--bip gives it another address, --bridge another interface; "
	case errors.Is(err, fs.ErrPermission):
		why = "the daemon needs the right to administer the network, CAP_NET_ADMIN; "
	case errors.Is(err, unix.EROFS):
		why = "the daemon needs a /proc/sys that it may write to; "
	case errdefs.IsInvalidArgument(err):
		why = ""
	}
	return fmt.Errorf("the default network can not be made: %w; %sor start the daemon with --bridge none: containers that ask for no network then have none", err, why)
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
