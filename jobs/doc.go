// Package jobs is the catalogue: one definition for each job, with its input
// and result, one file for each noun. There is no code here.
//
// The names are Docker 1.3's where it had the job, else noun_verb. The types
// are those of github.com/moby/moby/api in its newest shape; what older API
// versions want is made of them in package server. Fields tagged `job:"arg"`
// are the job's arguments, in order, for the dynamic door and the log line.
package jobs
