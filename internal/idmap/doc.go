// Package idmap has what user namespaces need: which ids of the host the ids of a
// container are, where /etc/subuid and /etc/subgid give them, namespaces that only
// stand for a map, as mount_setattr(2) wants them, and work done as a container's root.
package idmap
