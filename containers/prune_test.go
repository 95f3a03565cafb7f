package containers

import (
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

func TestPruneIsAskedRightly(t *testing.T) {
	w := newWorld(t)
	for text, args := range map[string]filters.Args{
		"invalid filter 'nonsense'":            {"nonsense": {"1"}},
		"invalid filter 'until=never'":         {"until": {"never"}},
		"more than one until filter specified": {"until": {"1h", "2h"}},
	} {
		_, err := jobs.ContainerPrune.Run(ctx, w.eng, jobs.ContainerPruneIn{Filters: args})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		assert.Error(t, err, text)
	}
	w.pruning.Lock()
	_, err := jobs.ContainerPrune.Run(ctx, w.eng, jobs.ContainerPruneIn{})
	w.pruning.Unlock()
	assert.Assert(t, errdefs.IsConflict(err), "%v", err)
}

func TestPruneTakesWhatDoesNotRunAndWhatIsDamaged(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "made")
	damaged := w.mustCreate(t, "damaged")
	w.mustCreate(t, "running")
	w.reopen(t)
	w.mustStart(t, "running")
	ct, err := w.find(damaged)
	assert.NilError(t, err)
	ct.update(func(s *Snapshot) { s.State.Dead, s.Damaged = true, true })
	out, err := jobs.ContainerPrune.Run(ctx, w.eng, jobs.ContainerPruneIn{})
	assert.NilError(t, err)
	assert.Equal(t, len(out.ContainersDeleted), 2)
	assert.Equal(t, len(w.List()), 1)
	assert.Equal(t, len(w.graph.layers(t)), 1)
}
