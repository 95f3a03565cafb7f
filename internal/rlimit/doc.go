// Package rlimit bounds what a container's process asks for by what this process
// may give: resource limits, and the OOM score which the same capability guards.
package rlimit
