// Package oci runs containers with any OCI runtime binary that has runc's command
// line, such as runc itself.
//
// Of each container it keeps one folder below Options.StateDir/containers: its
// record, the runtime's log, and a copy of the spec where that had to be changed.
// The runtime's own state is in Options.StateDir/runtime. What the runtime reads
// and writes is the container's stdio, so what it has to say is in its log only.
//
// The runtime ends when the container has been made. Its children become ours
// because this process declares itself a subreaper when it first makes one.
package oci
