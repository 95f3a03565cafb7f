package jobs

import "github.com/jobengine/engine/engine"

// The kernel's own jobs.
var (
	Commands  = engine.Commands
	JobList   = engine.JobList
	JobCancel = engine.JobCancel
)
