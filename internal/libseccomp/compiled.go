package seccomp

import (
	"embed"
	"runtime"
)

// The compiled filters are files named by architecture and key.
//
//go:embed compiled
var files embed.FS

// compiled finds a filter that is carried.
func compiled(key string) ([]byte, bool) {
	bpf, err := files.ReadFile("compiled/" + runtime.GOARCH + "-" + key + ".bpf")
	return bpf, err == nil
}
