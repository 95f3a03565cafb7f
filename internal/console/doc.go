// Package console hands the master of a pty from the process that made it to
// another one, over a pair of sockets, as OCI runtimes do.
package console
