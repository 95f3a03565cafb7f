package containers

import (
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (w *world) change(in jobs.ContainerUpdateIn) error {
	_, err := w.Containers.change(ctx, nil, in)
	return err
}

func TestAChangeIsFeltAndOutlivesARestart(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "web")
	assert.NilError(t, w.change(jobs.ContainerUpdateIn{Container: "web", Resources: &container.Resources{CPUShares: 99}}))
	assert.Check(t, !slices.Contains(w.runtime.calls, "Update"), "it does not run")
	w.mustStart(t, "web")
	limit := int64(77)
	assert.NilError(t, w.change(jobs.ContainerUpdateIn{
		Container: "web", Resources: &container.Resources{PidsLimit: &limit}, RestartPolicy: &container.RestartPolicy{Name: "unless-stopped"},
	}))
	assert.Equal(t, *w.runtime.limits.Pids.Limit, limit)
	assert.Equal(t, *w.runtime.limits.CPU.Shares, uint64(99))
	w.reopen(t)
	hc := w.snapshot(t, id).HostConfig
	assert.Equal(t, *hc.PidsLimit, limit)
	assert.Equal(t, hc.CPUShares, int64(99))
	assert.Equal(t, string(hc.RestartPolicy.Name), "unless-stopped")
}

func TestAChangeThatCannotBeFeltChangesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "web")
	w.mustStart(t, "web")
	w.runtime.failWith("Update", errs.Conflict("too small"))
	err := w.change(jobs.ContainerUpdateIn{Container: "web", Resources: &container.Resources{Memory: 10 << 20, MemorySwap: -1}})
	assert.Error(t, err, "Cannot update container "+id+": too small")
	assert.Equal(t, w.snapshot(t, id).HostConfig.Memory, int64(0))
	err = w.change(jobs.ContainerUpdateIn{Container: "web", Resources: &container.Resources{Memory: 5}})
	assert.Error(t, err, "Minimum memory limit allowed is 6MB")
	err = w.change(jobs.ContainerUpdateIn{Container: "nobody", Resources: &container.Resources{}})
	assert.Check(t, errdefs.IsNotFound(err))
	w.runtime.failWith("Update", nil)
}

func TestMemoryThatRanOutIsToldOnce(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "web")
	w.mustStart(t, "web")
	s := w.snapshot(t, id)
	news := runtime.OOM{Container: id, Pid: s.State.Pid, StartTime: s.State.StartTime, Kills: 2}
	w.handleOOM(news)
	w.handleOOM(news)
	old := news
	old.Pid, old.Kills = news.Pid+1, 9 // of a run that is over
	w.handleOOM(old)
	assert.Check(t, w.snapshot(t, id).State.OOMKilled)
	count := func() (n int) {
		for _, e := range w.heard.all() {
			if len(e) >= 3 && e[:3] == "oom" {
				n++
			}
		}
		return n
	}
	assert.Equal(t, count(), 1, "%q", w.heard.all())
	w.reopen(t)
	w.handleOOM(news)
	assert.Equal(t, count(), 1, "a new daemon knows it")
	assert.Check(t, w.snapshot(t, id).State.OOMKilled)
	news.Kills++
	w.handleOOM(news)
	assert.Equal(t, count(), 2)
}
