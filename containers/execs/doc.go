// Package execs is further processes in running containers: what was asked for,
// the process, the client that is connected to it, and its exit code.
//
// An exec is created, started once, and inspected until it is forgotten: some
// time after its end, or with its container. A client that goes leaves the
// process running; what it writes then is read and thrown away.
package execs
