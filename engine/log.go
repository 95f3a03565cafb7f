package engine

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
)

// LogJobs is the middleware that writes two lines for each job:
//
//	+job wait(web)
//	-job wait(web) = OK 12ms
//
// A failed job's second line ends in ERR, the time and the error.
func LogJobs(log *logrus.Logger) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, job *Job, in any) (any, error) {
			level := logrus.InfoLevel
			if job.Quiet() {
				level = logrus.DebugLevel
			}
			if !log.IsLevelEnabled(level) {
				return next(ctx, job, in)
			}
			line := job.String()
			log.Log(level, "+job "+line)
			out, err := next(ctx, job, in)
			took := time.Since(job.Started).Round(10 * time.Microsecond)
			if err != nil {
				log.Logf(level, "-job %s = ERR %s: %v", line, took, err)
			} else {
				log.Logf(level, "-job %s = OK %s", line, took)
			}
			return out, err
		}
	}
}

// RecoverJobs is the middleware that turns a panic of a handler into an error
// of the class internal, so that it kills one job and not the daemon. report
// gets what was thrown.
func RecoverJobs(report func(job *Job, thrown any)) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, job *Job, in any) (out any, err error) {
			defer func() {
				if thrown := recover(); thrown != nil {
					report(job, thrown)
					out, err = nil, errPanicked(job)
				}
			}()
			return next(ctx, job, in)
		}
	}
}
