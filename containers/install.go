package containers

import (
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// Install registers the jobs of containers.
func (c *Containers) Install(eng *engine.Engine) {
	jobs.Create.Register(eng, c.create)
	jobs.Start.Register(eng, c.start)
	jobs.Stop.Register(eng, c.stop)
	jobs.Restart.Register(eng, c.restart)
	jobs.Kill.Register(eng, c.kill)
	jobs.Pause.Register(eng, c.pause)
	jobs.Unpause.Register(eng, c.unpause)
	jobs.Wait.Register(eng, c.wait)
	jobs.Rm.Register(eng, c.rm)
	jobs.ContainerPrune.Register(eng, c.prune)
	jobs.ContainerRename.Register(eng, c.rename)

	jobs.NetworkConnect.Register(eng, c.connect)
	jobs.NetworkDisconnect.Register(eng, c.disconnect)

	jobs.Commit.Register(eng, c.commit)
	jobs.ContainerChanges.Register(eng, c.changes)
	jobs.Export.Register(eng, c.export)

	jobs.ContainerUpdate.Register(eng, c.change)
	jobs.ContainerStats.Register(eng, c.stats)

	jobs.Containers.Register(eng, c.containers)
	jobs.ContainerInspect.Register(eng, c.inspect)
	jobs.Top.Register(eng, c.top)
	jobs.Logs.Register(eng, c.logs)
	jobs.Attach.Register(eng, c.attach)
	jobs.Resize.Register(eng, c.resize)

	jobs.ExecCreate.Register(eng, c.execs.Create)
	jobs.ExecStart.Register(eng, c.execs.Start)
	jobs.ExecResize.Register(eng, c.execs.Resize)
	jobs.ExecInspect.Register(eng, c.execs.Inspect)
}
