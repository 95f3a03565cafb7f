// Package usage reads what a cgroup uses, on cgroup v1 and v2, and tells when
// its memory runs out. A group is named by the folder that limits its memory,
// such as /sys/fs/cgroup/memory/engine/ID or /sys/fs/cgroup/engine/ID; with v1
// the other hierarchies have it under the same path.
package usage
