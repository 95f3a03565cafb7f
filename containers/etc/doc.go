// Package etc makes the files of a container's /etc that the engine writes: hosts, hostname and
// resolv.conf. They lie in the container's folder and are bound into it. It is told all that stands in
// them, and keeps what a user has changed.
package etc
