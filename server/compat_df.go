package server

import (
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
)

// diskUsageFor gives what takes space in a version's shape: lists before 1.52,
// sums and lists since then, where verbose chooses who is told: those who know
// the sums get the lists with them, all others the old lists beside them.
func diskUsageFor(v apiVersion, verbose bool, u *system.DiskUsage) any {
	if v.before(52) {
		return usageLists(v, u)
	}
	if verbose {
		return u
	}
	lists := usageLists(v, u)
	sums := *u
	if sums.ImageUsage != nil {
		usage := *sums.ImageUsage
		usage.Items, sums.ImageUsage = nil, &usage
	}
	if sums.ContainerUsage != nil {
		usage := *sums.ContainerUsage
		usage.Items, sums.ContainerUsage = nil, &usage
	}
	if sums.VolumeUsage != nil {
		usage := *sums.VolumeUsage
		usage.Items, sums.VolumeUsage = nil, &usage
	}
	if sums.BuildCacheUsage != nil {
		usage := *sums.BuildCacheUsage
		usage.Items, sums.BuildCacheUsage = nil, &usage
	}
	return struct {
		usageBefore52
		system.DiskUsage
	}{lists, sums}
}

// usageBefore52 has null for what was not asked for.
type usageBefore52 struct {
	LayersSize  int64
	Images      []imageUsage
	Containers  any
	Volumes     []volume.Volume
	BuildCache  []build.CacheRecord
	BuilderSize *int64 `json:",omitempty"` // before 1.42
}

type imageUsage struct {
	*image.Summary
	VirtualSize *int64 `json:",omitempty"` // before 1.44
}

func usageLists(v apiVersion, u *system.DiskUsage) usageBefore52 {
	var out usageBefore52
	if usage := u.ImageUsage; usage != nil {
		out.LayersSize, out.Images = usage.TotalSize, make([]imageUsage, len(usage.Items))
		for n := range usage.Items {
			row := usage.Items[n]
			if v.before(43) && len(row.RepoTags)+len(row.RepoDigests) == 0 {
				row.RepoTags, row.RepoDigests = []string{noTag}, []string{noDigest}
			}
			out.Images[n].Summary = &row
			if v.before(44) {
				out.Images[n].VirtualSize = &row.Size
			}
		}
	}
	if usage := u.ContainerUsage; usage != nil {
		out.Containers = containersFor(v, usage.Items)
	}
	if usage := u.VolumeUsage; usage != nil {
		out.Volumes = usage.Items
	}
	if usage := u.BuildCacheUsage; usage != nil {
		out.BuildCache = usage.Items
	}
	if v.before(42) {
		out.BuilderSize = new(int64)
	}
	return out
}
