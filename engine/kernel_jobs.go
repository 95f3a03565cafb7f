package engine

import "context"

// The kernel's own jobs. The catalogue (package jobs) lists them with the others.
var (
	// Commands lists the names of all registered jobs.
	Commands = Define[CommandsIn, CommandsOut]("commands", Quiet)
	// JobList lists the jobs that are running.
	JobList = Define[JobListIn, JobListOut]("job_list", Quiet)
	// JobCancel cancels a running job.
	JobCancel = Define[JobCancelIn, JobCancelOut]("job_cancel")
)

// CommandsIn is empty.
type CommandsIn struct{}

// CommandsOut holds sorted names.
type CommandsOut struct{ Names []string }

// JobListIn is empty.
type JobListIn struct{}

// JobListOut holds the running jobs, oldest first; the asking job itself is among them.
type JobListOut struct{ Jobs []RunningJob }

// JobCancelIn names a running job by its number.
type JobCancelIn struct {
	ID uint64 `job:"arg"`
}

// JobCancelOut is empty.
type JobCancelOut struct{}

func installKernelJobs(eng *Engine) {
	Commands.Register(eng, func(context.Context, *Job, CommandsIn) (CommandsOut, error) {
		return CommandsOut{eng.Names()}, nil
	})
	JobList.Register(eng, func(context.Context, *Job, JobListIn) (JobListOut, error) {
		return JobListOut{eng.Running()}, nil
	})
	JobCancel.Register(eng, func(_ context.Context, _ *Job, in JobCancelIn) (JobCancelOut, error) {
		return JobCancelOut{}, eng.Cancel(in.ID)
	})
}
