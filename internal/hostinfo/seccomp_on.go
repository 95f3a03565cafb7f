//go:build seccomp

package hostinfo

// SeccompBuilt tells whether this program can load seccomp profiles: it was
// built with the tag seccomp and linked with libseccomp.
const SeccompBuilt = true
