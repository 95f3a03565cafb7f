package system

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/moby/moby/api/types/system"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/version"
	"github.com/jobengine/engine/jobs"
)

func (s *System) version(context.Context, *engine.Job, jobs.VersionIn) (jobs.VersionOut, error) {
	v := system.VersionResponse{
		Platform:      system.PlatformInfo{Name: "engine"},
		Version:       version.Version,
		APIVersion:    s.APIVersion,
		MinAPIVersion: s.MinAPIVersion,
		Os:            runtime.GOOS,
		Arch:          runtime.GOARCH,
		GitCommit:     version.GitCommit,
		GoVersion:     runtime.Version(),
		KernelVersion: s.host.KernelVersion,
		BuildTime:     version.BuildTime,
	}
	v.Components = []system.ComponentVersion{
		{Name: "Engine", Version: v.Version, Details: map[string]string{
			"ApiVersion": v.APIVersion, "MinAPIVersion": v.MinAPIVersion, "Os": v.Os, "Arch": v.Arch,
			"GitCommit": v.GitCommit, "GoVersion": v.GoVersion, "KernelVersion": v.KernelVersion,
			"BuildTime": v.BuildTime, "Experimental": "false",
		}},
		{Name: "libcontainer", Version: linked("github.com/opencontainers/runc"), Details: map[string]string{}},
	}
	return jobs.VersionOut{VersionResponse: v}, nil
}

// linked gives the version of a module that this program was built with.
func linked(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == path {
			return strings.TrimPrefix(dep.Version, "v")
		}
	}
	return "none"
}
