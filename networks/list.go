package networks

import (
	"context"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (n *Networks) networks(_ context.Context, _ *engine.Job, in jobs.NetworksIn) (jobs.NetworksOut, error) {
	out := jobs.NetworksOut{Networks: []network.Summary{}}
	f := in.Filters
	if err := f.Check("dangling", "driver", "id", "label", "name", "scope", "type"); err != nil {
		return out, err
	}
	for _, want := range f["type"] {
		if want != "builtin" && want != "custom" {
			return out, errs.Invalid("invalid filter: 'type'='%s'", want)
		}
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return out, err
	}
	for _, nw := range n.list {
		contains := func(have string) func(string) bool {
			return func(want string) bool { return strings.Contains(have, want) }
		}
		if !f.Any("id", contains(nw.ID)) || !f.Any("name", contains(nw.Name)) ||
			!f.Exact("driver", nw.Driver) || !f.Exact("scope", nw.Scope) ||
			!f.Exact("type", "builtin") || !f.Labels("label", nw.Labels) {
			continue
		}
		if dangling {
			continue // the predefined networks never dangle
		}
		out.Networks = append(out.Networks, network.Summary{Network: nw.Network})
	}
	return out, nil
}

func (n *Networks) inspect(_ context.Context, _ *engine.Job, in jobs.NetworkInspectIn) (jobs.NetworkInspectOut, error) {
	nw, err := n.find(in.Network)
	return jobs.NetworkInspectOut{Inspect: nw}, err
}
