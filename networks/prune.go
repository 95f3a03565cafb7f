package networks

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

func (n *Networks) prune(ctx context.Context, _ *engine.Job, in jobs.NetworkPruneIn) (jobs.NetworkPruneOut, error) {
	var out jobs.NetworkPruneOut
	f := in.Filters
	if err := f.Check("label", "label!", "until"); err != nil {
		return out, err
	}
	until, err := f.Until(time.Now())
	if err != nil {
		return out, err
	}
	for _, nw := range n.all() {
		if ctx.Err() != nil {
			break
		}
		if !nw.userDefined() || nw.ConfigOnly || !f.Pruned(nw.Created, until, nw.Labels) {
			continue
		}
		n.mu.Lock()
		used := len(nw.endpoints) > 0
		n.mu.Unlock()
		if used {
			continue
		}
		if err := n.removeNetwork(context.WithoutCancel(ctx), nw); err != nil {
			n.cfg.Log.Warnf("network %s is not pruned: %v", nw.Name, err)
			continue
		}
		out.NetworksDeleted = append(out.NetworksDeleted, nw.Name)
	}
	n.cfg.Events.Log(events.NetworkEventType, events.ActionPrune, "", map[string]string{"reclaimed": "0"})
	return out, nil
}
