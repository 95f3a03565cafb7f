package networks_test

import (
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/networks"
)

func open(t *testing.T) (*engine.Engine, *networks.Networks) {
	eng, n := engine.New(), networks.New("one", time.Now())
	n.Install(eng)
	return eng, n
}

func TestNoneAndHostAreAlwaysThere(t *testing.T) {
	eng, n := open(t)
	out, err := jobs.Networks.Run(t.Context(), eng, jobs.NetworksIn{})
	assert.NilError(t, err)
	assert.Equal(t, len(out.Networks), 2)
	assert.DeepEqual(t, n.Drivers(), []string{"host", "null"})
	for _, nw := range out.Networks {
		assert.Equal(t, n.ID(nw.Name), nw.ID)
		for _, ref := range []string{nw.Name, nw.ID, nw.ID[:8]} {
			got, err := jobs.NetworkInspect.Run(t.Context(), eng, jobs.NetworkInspectIn{Network: ref})
			assert.NilError(t, err)
			assert.Equal(t, got.ID, nw.ID)
		}
	}
	assert.Check(t, networks.New("two", time.Now()).ID("none") != n.ID("none"))
}

func TestNetworksAreFiltered(t *testing.T) {
	eng, _ := open(t)
	for _, c := range []struct {
		f    filters.Args
		want int
	}{
		{filters.Args{"driver": {"host"}}, 1},
		{filters.Args{"name": {"o"}}, 2},
		{filters.Args{"name": {"non"}}, 1},
		{filters.Args{"type": {"custom"}}, 0},
		{filters.Args{"type": {"builtin"}}, 2},
		{filters.Args{"dangling": {"true"}}, 0},
		{filters.Args{"label": {"a"}}, 0},
		{filters.Args{"scope": {"swarm"}}, 0},
	} {
		out, err := jobs.Networks.Run(t.Context(), eng, jobs.NetworksIn{Filters: c.f})
		assert.NilError(t, err)
		assert.Equal(t, len(out.Networks), c.want, "%v", c.f)
		assert.Check(t, out.Networks != nil, "an empty list is [] and not null")
	}
	for _, bad := range []filters.Args{{"colour": {"red"}}, {"type": {"x"}}, {"dangling": {"perhaps"}}} {
		_, err := jobs.Networks.Run(t.Context(), eng, jobs.NetworksIn{Filters: bad})
		assert.Check(t, errdefs.IsInvalidArgument(err), "%v: %v", bad, err)
	}
	_, err := jobs.NetworkInspect.Run(t.Context(), eng, jobs.NetworkInspectIn{Network: "web"})
	assert.Check(t, errdefs.IsNotFound(err))
	assert.Error(t, err, "network web not found")
}
