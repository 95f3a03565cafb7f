// Package oci runs containers with any OCI runtime binary that has runc's command
// line, such as runc itself.
//
// Of each container it keeps one folder below Options.StateDir/containers: its
// record, the runtime's log, and a copy of the spec where that had to be changed.
// The runtime's own state is in Options.StateDir/runtime. What the runtime reads
// and writes is the container's stdio, so what it has to say is in its log only.
//
// The runtime ends when the container has been made, which is then nobody's
// child that we could wait for. How its exit code is learned all the same, with
// no subreaper for longer than a call of the runtime, says reaper.go.
//
// Which runtime, and with which arguments, are options; the same driver can be
// open several times, once for each runtime. A container keeps the runtime that
// made it.
package oci
