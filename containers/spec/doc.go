// Package spec makes the OCI runtime spec of a container: pure functions from
// what was asked for and what the host is, to what the exec driver gets.
//
// The defaults are those of docker with the newer ones of moby and podman where
// they break no image: fourteen capabilities, moby's seccomp profile, the union
// of both projects' masked paths, and a device list that denies what it does
// not name. docs/security.md has the table.
//
// What a hostile image can influence is read with care: see rootfs.go.
package spec
