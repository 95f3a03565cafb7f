package networks

import (
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// Install registers the jobs of networks.
func (n *Networks) Install(eng *engine.Engine) {
	jobs.Networks.Register(eng, n.networks)
	jobs.NetworkInspect.Register(eng, n.inspect)
	jobs.NetworkCreate.Register(eng, n.create)
	jobs.NetworkRemove.Register(eng, n.remove)
	jobs.NetworkPrune.Register(eng, n.prune)
}
