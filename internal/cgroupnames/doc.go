// Package cgroupnames says who makes the cgroups of containers and how they are
// called. With the manager "cgroupfs" the exec driver makes folders, with
// "systemd" it asks systemd for a scope. What a container has is told by the
// form of its name: a daemon that changed its manager finds all of its containers.
package cgroupnames
