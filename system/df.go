package system

import (
	"context"
	"slices"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// df asks each noun for what it keeps. There are no volumes with a name and no
// build cache yet: nothing of them takes space.
func (s *System) df(ctx context.Context, _ *engine.Job, in jobs.SystemDfIn) (out jobs.SystemDfOut, err error) {
	all := []system.DiskUsageObject{system.ContainerObject, system.ImageObject, system.VolumeObject, system.BuildCacheObject}
	for _, kind := range in.Types {
		if !slices.Contains(all, kind) {
			return out, errs.Invalid("unknown object type: %s", kind)
		}
	}
	wanted := in.Types
	if len(wanted) == 0 {
		wanted = all
	}
	if slices.Contains(wanted, system.ContainerObject) {
		if out.ContainerUsage, err = s.Containers.DiskUsage(ctx); err != nil {
			return out, err
		}
	}
	if slices.Contains(wanted, system.ImageObject) {
		if out.ImageUsage, err = s.Images.DiskUsage(ctx); err != nil {
			return out, err
		}
	}
	if slices.Contains(wanted, system.VolumeObject) {
		out.VolumeUsage = &volume.DiskUsage{Items: []volume.Volume{}}
	}
	if slices.Contains(wanted, system.BuildCacheObject) {
		out.BuildCacheUsage = &build.DiskUsage{Items: []build.CacheRecord{}}
	}
	return out, nil
}
