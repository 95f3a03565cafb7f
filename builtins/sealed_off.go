//go:build !sealed

package builtins

// sealedSupervisor is empty in a plain build: the program runs itself as the supervisor.
var sealedSupervisor []byte
