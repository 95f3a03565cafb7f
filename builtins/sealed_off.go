//go:build !sealed

package builtins

// sealedSupervisor is empty in a plain build: the program runs itself as the supervisor.
var sealedSupervisor []byte

// sealedInit is empty in a plain build: docker-init of the host's PATH is used.
var sealedInit []byte
