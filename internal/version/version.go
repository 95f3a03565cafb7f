// Package version holds what the build knows of itself; the Makefile sets it
// with -ldflags -X.
package version

// The version of the program, the commit it was built from, and when
// (RFC 3339). A plain `go build` leaves the last two unknown.
var (
	Version   = "0.1.0"
	GitCommit = "unknown"
	BuildTime = "unknown"
)
