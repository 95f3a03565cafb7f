//go:build !seccomp

package hostinfo

// SeccompBuilt tells whether this program can load seccomp profiles. This
// build cannot: containers run without a system call filter, and info says so.
const SeccompBuilt = false
