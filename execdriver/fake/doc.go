// Package fake is an exec driver that needs no root: a container is a plain child
// process on the host, without namespaces, cgroups or a root file system of its
// own. It keeps every promise of the contract that can be kept so, and lets the
// logic of everything above be tested by plain `go test`.
//
// Until Start the first process is a shell that waits at a FIFO; then it becomes
// the user's program. All processes of a container carry a mark in their
// environment, by which they are found again.
package fake
