// Package supervisor is the small process that is the parent of all containers,
// so that they live on, keep logging and are found again when the daemon ends,
// is upgraded or crashes.
//
// It runs the exec driver, holds the containers' stdio, puts their output into
// a spool and from there into their log (output.go), writes each exit to disk
// before it tells anybody (ended.go), and answers the daemon (serve.go, one file
// for each operation). What it knows of a container lies in the exec root too
// (state.go), so that the next supervisor can take over (adopt.go).
//
// It waits by pidfd and FIFO in Go's poller: neither a process nor a stream has
// a thread of its own.
package supervisor
