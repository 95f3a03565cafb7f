package containers

import (
	"context"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/jobs"
)

// DiskUsage tells what containers have written. One that is up keeps its space.
func (c *Containers) DiskUsage(ctx context.Context) (*container.DiskUsage, error) {
	out, err := c.containers(ctx, nil, jobs.ContainersIn{All: true, Size: true})
	if err != nil {
		return nil, err
	}
	usage := &container.DiskUsage{Items: out.Containers, TotalCount: int64(len(out.Containers))}
	for _, row := range out.Containers {
		usage.TotalSize += row.SizeRw
		switch row.State {
		case container.StateRunning, container.StatePaused, container.StateRestarting:
			usage.ActiveCount++
		default:
			usage.Reclaimable += row.SizeRw
		}
	}
	return usage, nil
}
