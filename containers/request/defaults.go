package request

import (
	"slices"
	"strings"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/spec"
)

// withoutLabels says as docker does that a container which shares the host's
// processes or memory has no SELinux label, unless it asked for one.
func withoutLabels(options []string) []string {
	for _, opt := range options {
		if key, _, _ := strings.Cut(opt, "="); key == "label" {
			return options
		}
	}
	return append(slices.Clone(options), "label=disable")
}

// FillDefaults writes down what holds where the user said nothing, so that
// inspect shows it and a later version with other defaults does not change it.
func (rules *Rules) FillDefaults(cfg *container.Config, hc *container.HostConfig, id string) {
	if hc.NetworkMode == "" {
		hc.NetworkMode = network.NetworkDefault
	}
	if hc.RestartPolicy.Name == "" {
		hc.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	if hc.LogConfig.Type == "" {
		hc.LogConfig = container.LogConfig{Type: rules.DefaultLog, Config: mergeLabels(hc.LogConfig.Config, rules.DefaultLogOpts)}
	}
	if hc.LogConfig.Config == nil {
		hc.LogConfig.Config = map[string]string{}
	}
	if hc.PortBindings == nil {
		hc.PortBindings = network.PortMap{}
	}
	if hc.IpcMode.IsEmpty() {
		hc.IpcMode = rules.Defaults.Ipc()
	}
	if hc.CgroupnsMode.IsEmpty() {
		hc.CgroupnsMode = rules.Defaults.Cgroupns(rules.Host.Cgroup.Version, hc.Privileged)
	}
	if hc.IpcMode.IsHost() || hc.PidMode.IsHost() || hc.Privileged {
		hc.SecurityOpt = withoutLabels(hc.SecurityOpt)
	}
	for _, u := range rules.Ulimits {
		if !slices.ContainsFunc(hc.Ulimits, func(own *units.Ulimit) bool { return own.Name == u.Name }) {
			hc.Ulimits = append(slices.Clip(hc.Ulimits), u)
		}
	}
	if hc.ShmSize == 0 {
		hc.ShmSize = rules.ShmSizeBytes
	}
	if hc.ShmSize == 0 {
		hc.ShmSize = spec.DefaultShmSize
	}
	if hc.Runtime == "" {
		hc.Runtime = rules.ExecDriver
	}
	if hc.OomKillDisable == nil && rules.Host.Cgroup.OOMKillDisable {
		hc.OomKillDisable = new(bool)
	}
	if hc.PidsLimit != nil && *hc.PidsLimit <= 0 {
		hc.PidsLimit = nil
	}
	if len(cfg.Volumes) == 0 {
		cfg.Volumes = nil
	}
	if hc.Memory > 0 && hc.MemorySwap == 0 {
		hc.MemorySwap = swapFor(hc.Memory)
	}
	if hc.MaskedPaths == nil && !hc.Privileged {
		hc.MaskedPaths = spec.MaskedPaths()
	}
	if hc.ReadonlyPaths == nil && !hc.Privileged {
		hc.ReadonlyPaths = spec.ReadonlyPaths()
	}
	if cfg.Hostname == "" {
		cfg.Hostname = id[:12]
		if hc.NetworkMode.IsHost() || hc.UTSMode.IsHost() {
			cfg.Hostname = rules.HostName()
		}
	}
}
