package request

import (
	"maps"
	"slices"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// MergeImage fills what the user left open in cfg from the image, by docker's
// rules: an entry point of the user's drops the image's command.
func MergeImage(cfg *container.Config, img *dockerspec.DockerOCIImageConfig) {
	if cfg.User == "" {
		cfg.User = img.User
	}
	cfg.ExposedPorts = mergePorts(cfg.ExposedPorts, img.ExposedPorts)
	cfg.Env = mergeImageEnv(cfg.Env, img.Env)
	cfg.Labels = mergeLabels(cfg.Labels, img.Labels)
	if len(cfg.Entrypoint) == 0 {
		if len(cfg.Cmd) == 0 {
			cfg.Cmd = slices.Clone(img.Cmd)
		}
		if cfg.Entrypoint == nil {
			cfg.Entrypoint = slices.Clone(img.Entrypoint)
		}
	}
	if img.Healthcheck != nil {
		mergeHealth(cfg, img.Healthcheck)
	}
	if cfg.WorkingDir == "" {
		cfg.WorkingDir = img.WorkingDir
	}
	if len(img.Volumes) > 0 {
		cfg.Volumes = maps.Clone(cfg.Volumes)
		if cfg.Volumes == nil {
			cfg.Volumes = map[string]struct{}{}
		}
		maps.Copy(cfg.Volumes, img.Volumes)
	}
	if cfg.StopSignal == "" {
		cfg.StopSignal = img.StopSignal
	}
	if len(cfg.Shell) == 0 {
		cfg.Shell = slices.Clone(img.Shell)
	}
}

func mergePorts(own network.PortSet, img map[string]struct{}) network.PortSet {
	if len(img) == 0 {
		return own
	}
	merged := maps.Clone(own)
	if merged == nil {
		merged = network.PortSet{}
	}
	for text := range img {
		// An image's nonsense is not the user's fault: it exposes nothing.
		if p, err := network.ParsePort(text); err == nil {
			merged[p] = struct{}{}
		}
	}
	return merged
}

// mergeImageEnv puts behind the user's variables those of the image that the user did not set.
func mergeImageEnv(own, img []string) []string {
	merged := slices.Clone(own)
	for _, kv := range img {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(own, func(o string) bool { n, _, _ := strings.Cut(o, "="); return n == name }) {
			merged = append(merged, kv)
		}
	}
	return merged
}

func mergeLabels(own, img map[string]string) map[string]string {
	merged := make(map[string]string, len(own)+len(img))
	maps.Copy(merged, img)
	maps.Copy(merged, own)
	return merged
}

func mergeHealth(cfg *container.Config, img *dockerspec.HealthcheckConfig) {
	if cfg.Healthcheck == nil {
		h := *img
		cfg.Healthcheck = &h
		return
	}
	h := *cfg.Healthcheck
	if len(h.Test) == 0 {
		h.Test = img.Test
	}
	if h.Interval == 0 {
		h.Interval = img.Interval
	}
	if h.Timeout == 0 {
		h.Timeout = img.Timeout
	}
	if h.StartPeriod == 0 {
		h.StartPeriod = img.StartPeriod
	}
	if h.StartInterval == 0 {
		h.StartInterval = img.StartInterval
	}
	if h.Retries == 0 {
		h.Retries = img.Retries
	}
	cfg.Healthcheck = &h
}

// Program is what a configuration runs.
func Program(cfg *container.Config) (path string, args []string, ok bool) {
	words := slices.Concat(cfg.Entrypoint, cfg.Cmd)
	if len(words) == 0 {
		return "", nil, false
	}
	return words[0], append([]string{}, words[1:]...), true
}
