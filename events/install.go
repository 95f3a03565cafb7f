package events

import (
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// Install registers the jobs of the bus.
func (e *Events) Install(eng *engine.Engine) {
	jobs.Events.Register(eng, e.events)
	jobs.Log.Register(eng, e.log)
}
