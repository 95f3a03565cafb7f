package system

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/hostinfo"
	"github.com/jobengine/engine/internal/version"
	"github.com/jobengine/engine/jobs"
)

const indexServer = "https://index.docker.io/v1/"

func (s *System) info(_ context.Context, _ *engine.Job, _ jobs.InfoIn) (jobs.InfoOut, error) {
	running, paused, stopped := s.Containers.Counts()
	cg := s.host.Cgroup
	runtimes := map[string]system.RuntimeWithStatus{}
	for name, r := range s.Runtime.Runtimes() {
		runtimes[name] = system.RuntimeWithStatus{Runtime: system.Runtime{Path: r.Path, Args: r.Args}}
	}
	live := s.live.Load()
	return jobs.InfoOut{Info: system.Info{
		ID:                s.EngineID,
		Containers:        running + paused + stopped,
		ContainersRunning: running,
		ContainersPaused:  paused,
		ContainersStopped: stopped,
		Images:            s.Images.Count(),
		Driver:            s.StorageDriver,
		DriverStatus:      s.Graph.Status(),
		Plugins: system.PluginsInfo{
			Volume: []string{}, Network: s.Networks.Drivers(), Log: append([]string{}, s.LogDrivers...),
		},
		MemoryLimit:        cg.Memory,
		SwapLimit:          cg.Swap,
		CPUCfsPeriod:       cg.CPUQuota,
		CPUCfsQuota:        cg.CPUQuota,
		CPUShares:          cg.CPUShares,
		CPUSet:             cg.CPUSet,
		PidsLimit:          cg.Pids,
		IPv4Forwarding:     hostinfo.IPForwarding(),
		Debug:              live.Debug,
		NFd:                hostinfo.OpenFiles(),
		OomKillDisable:     cg.OOMKillDisable,
		NGoroutines:        runtime.NumGoroutine(),
		SystemTime:         time.Now().UTC().Format(time.RFC3339Nano),
		LoggingDriver:      s.LogDriver,
		CgroupDriver:       s.CgroupDriver,
		CgroupVersion:      strconv.Itoa(cg.Version),
		NEventsListener:    s.Events.Subscribers(),
		KernelVersion:      s.host.KernelVersion,
		OperatingSystem:    s.host.OperatingSystem,
		OSVersion:          s.host.OSVersion,
		OSType:             runtime.GOOS,
		Architecture:       s.host.Machine,
		IndexServerAddress: indexServer,
		RegistryConfig:     live.Registries,
		NCPU:               s.host.CPUs,
		MemTotal:           s.host.MemoryBytes,
		DockerRootDir:      s.DataRoot,
		HTTPProxy:          os.Getenv("HTTP_PROXY"),
		HTTPSProxy:         os.Getenv("HTTPS_PROXY"),
		NoProxy:            os.Getenv("NO_PROXY"),
		Name:               s.host.Name,
		Labels:             append([]string{}, live.Labels...),
		ServerVersion:      version.Version,
		Runtimes:           runtimes,
		DefaultRuntime:     s.DefaultRuntime,
		Swarm:              swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive},
		LiveRestoreEnabled: live.LiveRestore,
		RuncCommit:         system.Commit{ID: linked("github.com/opencontainers/runc")},
		InitBinary:         s.InitBinary,
		SecurityOptions:    s.securityOptions(),
		CDISpecDirs:        []string{},
		Warnings:           s.warnings(),
	}}, nil
}
