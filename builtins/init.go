package builtins

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/jobengine/engine/internal/durable"
)

// stockInit is what dockerd looks for in PATH; a plain build has nothing else.
const stockInit = "docker-init"

// initFinder finds the program that is the first process of containers with
// --init: the one that the configuration names, the embedded one, or the host's.
// It lies in the data root because what is executed may not be mounted noexec,
// as /run often is.
func (cfg Config) initFinder() func() (string, error) {
	switch {
	case cfg.InitPath != "":
		return func() (string, error) { return findInit(cfg.InitPath) }
	case len(sealedInit) == 0:
		return func() (string, error) { return findInit(stockInit) }
	}
	var mu sync.Mutex
	var written string
	return func() (_ string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if written == "" {
			written, err = writeInit(filepath.Join(cfg.DataRoot, "init"), sealedInit)
		}
		return written, err
	}
}

// findInit looks a program up, in PATH if it is a bare name.
func findInit(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// writeInit puts the program into the folder under a name of its own, and takes
// those of other versions away: containers that run keep what they have mounted.
func writeInit(dir string, program []byte) (string, error) {
	sum := sha256.Sum256(program)
	path := filepath.Join(dir, stockInit+"-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if other := filepath.Join(dir, e.Name()); other != path {
			_ = os.RemoveAll(other)
		}
	}
	// A power cut may have torn it.
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, program) {
		return path, os.Chmod(path, 0o555)
	}
	if err := durable.WriteFileUnsynced(durable.OS, path, program, 0o555); err != nil {
		return "", fmt.Errorf("write the init of containers: %w", err)
	}
	return path, nil
}
