package server

import (
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// createFrom gives a create request of an older version the meaning that it
// had then: fields that came later are ignored, defaults that have changed are
// written out.
func createFrom(v apiVersion, in *jobs.CreateIn, mac string) (warnings []string, err error) {
	c, hc := in.Config, in.HostConfig
	if hc.PidsLimit != nil && *hc.PidsLimit <= 0 {
		hc.PidsLimit = nil // 0 and -1 are both no limit
	}
	if v.before(25) {
		hc.AutoRemove = false // was the client's own business
	}
	if v.before(40) && hc.IpcMode == "" {
		hc.IpcMode = container.IPCModeShareable
	}
	if v.before(42) {
		hc.ConsoleSize = [2]uint{}
	}
	if v.before(43) {
		hc.Annotations = nil
	}
	if v.before(44) {
		if c.Healthcheck != nil {
			c.Healthcheck.StartInterval = 0
		}
		if err := oneEndpoint(in.NetworkingConfig); err != nil {
			return nil, err
		}
	}
	if v.before(56) {
		hc.Umask = nil
	}
	if err := mountsFrom(v, hc.Mounts); err != nil {
		return nil, err
	}
	return macFrom(v, in, mac)
}

func oneEndpoint(n *network.NetworkingConfig) error {
	if n == nil || len(n.EndpointsConfig) < 2 {
		return nil
	}
	names := slices.Sorted(maps.Keys(n.EndpointsConfig))
	return errs.Invalid("Container cannot be connected to network endpoints: %s", strings.Join(names, ", "))
}

func mountsFrom(v apiVersion, mounts []mount.Mount) error {
	for i := range mounts {
		m := &mounts[i]
		if b := m.BindOptions; b != nil {
			if v.before(40) {
				b.NonRecursive = false
			}
			if v.before(42) {
				b.CreateMountpoint = false
			}
			if v.before(44) {
				b.ReadOnlyNonRecursive = false
				if b.ReadOnlyForceRecursive {
					return errs.Invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
				}
			}
		}
		if v.before(45) && m.VolumeOptions != nil && m.VolumeOptions.Subpath != "" {
			return errs.Invalid("VolumeOptions.Subpath needs API v1.45 or newer")
		}
		if v.before(46) && m.TmpfsOptions != nil {
			m.TmpfsOptions.Options = nil
		}
		if v.before(48) && m.Type == mount.TypeImage {
			return errs.Invalid("mount type %q needs API v1.48 or newer", m.Type)
		}
	}
	return nil
}

// macFrom moves the address that a whole container once had to the endpoint of
// its main network, where it has been since 1.44.
func macFrom(v apiVersion, in *jobs.CreateIn, text string) (warnings []string, err error) {
	if !v.before(52) {
		return nil, nil
	}
	if text == "" {
		if v.before(44) && in.NetworkingConfig != nil {
			for _, ep := range in.NetworkingConfig.EndpointsConfig {
				if ep != nil {
					ep.MacAddress = nil
				}
			}
		}
		return nil, nil
	}
	mac, err := net.ParseMAC(text)
	if err != nil {
		return nil, errs.Invalid("MacAddress: %w", err)
	}
	mode := in.HostConfig.NetworkMode
	if mode.IsContainer() || mode.IsHost() {
		return nil, errs.Invalid("conflicting options: mac-address and the network mode")
	}
	if mode.IsNone() {
		return nil, nil
	}
	name := string(mode)
	if name == "" {
		name = network.NetworkDefault
	}
	ep := endpoint(in, name)
	if !v.before(44) {
		if len(ep.MacAddress) > 0 && ep.MacAddress.String() != mac.String() {
			return nil, errs.Invalid("the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty")
		}
		warnings = []string{"The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."}
	}
	ep.MacAddress = network.HardwareAddr(mac)
	return warnings, nil
}

// endpoint gives the settings for a network, made if need be.
func endpoint(in *jobs.CreateIn, name string) *network.EndpointSettings {
	if in.NetworkingConfig == nil {
		in.NetworkingConfig = &network.NetworkingConfig{}
	}
	n := in.NetworkingConfig
	if n.EndpointsConfig == nil {
		n.EndpointsConfig = make(map[string]*network.EndpointSettings)
	}
	if n.EndpointsConfig[name] == nil {
		n.EndpointsConfig[name] = &network.EndpointSettings{}
	}
	return n.EndpointsConfig[name]
}

// execCreateFrom drops what an older version did not have.
func execCreateFrom(v apiVersion, in *container.ExecCreateRequest) {
	if v.before(25) {
		in.Env = nil
	}
	if v.before(35) {
		in.WorkingDir = ""
	}
	if v.before(42) {
		in.ConsoleSize = nil
	}
}
