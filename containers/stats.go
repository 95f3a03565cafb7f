package containers

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/stats"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/internal/usage"
	"github.com/jobengine/engine/jobs"
)

// statsPause lies between two readings.
const statsPause = time.Second

// stats tells what a container uses. One that does not run uses nothing.
func (c *Containers) stats(ctx context.Context, job *engine.StreamJob[jobs.ContainerStatsOpen], in jobs.ContainerStatsIn) (jobs.ContainerStatsOut, error) {
	none := jobs.ContainerStatsOut{}
	if in.Stream && in.OneShot {
		return none, errs.Invalid("cannot have stream=true and one-shot=true")
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	before, err := c.reading(ctx, ct)
	if err != nil {
		return none, err
	}
	if err := job.Open(jobs.ContainerStatsOpen{}); err != nil {
		return none, err
	}
	out := json.NewEncoder(job.Stdout)
	// A client that asked for one gets one with a former reading in it, unless
	// there is nothing to compare.
	if in.OneShot || !in.Stream && before.Read.IsZero() {
		return none, out.Encode(c.statsOf(ct, before, stats.Reading{}))
	}
	if in.Stream {
		if err := out.Encode(c.statsOf(ct, before, stats.Reading{})); err != nil {
			return none, err
		}
	}
	tick := time.NewTicker(statsPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return none, context.Cause(ctx)
		case <-tick.C:
		}
		now, err := c.reading(ctx, ct)
		if err != nil {
			return none, err
		}
		if err := out.Encode(c.statsOf(ct, now, before)); err != nil || !in.Stream {
			return none, err
		}
		if ct.Snapshot().State.Removed {
			return none, nil
		}
		before = now
	}
}

// reading is what the container uses now; zero if it does not run.
func (c *Containers) reading(ctx context.Context, ct *Container) (stats.Reading, error) {
	if s := ct.Snapshot().State; !s.Running || s.Restarting {
		return stats.Reading{}, nil
	}
	u, err := c.runtime.Stats(ctx, ct.id)
	switch {
	case errors.Is(err, ErrNotRunning), errors.Is(err, ErrAbsent):
		return stats.Reading{}, nil
	case errors.Is(err, ErrUnsupported):
		return stats.Reading{}, errs.NotImplemented("stats of container %s: %w", ct.id, err)
	case err != nil:
		return stats.Reading{}, err
	}
	r := stats.Reading{Usage: u, Interfaces: c.interfaces(ct)}
	r.SystemCPU, r.OnlineCPUs = usage.SystemCPU()
	return r, nil
}

// interfaces are the counters of what went through a container's networks: its own, or those of the
// container whose namespace it is in. In the host's namespace there are none of its own.
func (c *Containers) interfaces(ct *Container) map[string]usage.Interface {
	owner, err := c.etcOwner(ct.Snapshot())
	if err != nil {
		return nil
	}
	names := c.networks.Interfaces(owner.ID)
	first := pidfd.Process{Pid: ct.Snapshot().State.Pid, StartTime: ct.Snapshot().State.StartTime}
	if len(names) == 0 || first.Pid <= 0 {
		return nil
	}
	read := usage.Interfaces(first.Pid, names)
	if !first.Alive() {
		return nil // the number may have been another's
	}
	return read
}

func (c *Containers) statsOf(ct *Container, now, before stats.Reading) container.StatsResponse {
	return stats.Response(ct.id, "/"+ct.Snapshot().Name, now, before, uint64(c.host.MemoryBytes))
}
