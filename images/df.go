package images

import (
	"context"

	"github.com/moby/moby/api/types/image"

	"github.com/jobengine/engine/jobs"
)

// DiskUsage tells what images take. The sizes are those that were written down
// when the layers came: nothing is walked through.
func (i *Images) DiskUsage(ctx context.Context) (*image.DiskUsage, error) {
	out, err := i.list(ctx, nil, jobs.ImagesIn{SharedSize: true})
	if err != nil {
		return nil, err
	}
	usage := &image.DiskUsage{Items: out.Images, TotalCount: int64(len(out.Images)), TotalSize: i.store.LayersBytes()}
	usage.Reclaimable = usage.TotalSize
	for _, img := range out.Images {
		if img.Containers > 0 {
			usage.ActiveCount++
			usage.Reclaimable -= img.Size - img.SharedSize
		}
	}
	return usage, nil
}
