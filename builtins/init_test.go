package builtins

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

func TestTheInitIsWrittenOnceAndMendedIfTorn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "init")
	program := []byte("#!/bin/sh\nexit 3\n")
	old, err := writeInit(dir, []byte("an older one"))
	assert.NilError(t, err)
	path, err := writeInit(dir, program)
	assert.NilError(t, err)
	assert.Assert(t, path != old)
	_, err = os.Stat(old)
	assert.Assert(t, os.IsNotExist(err), "the older one is gone")
	for _, damage := range []func() error{
		func() error { return nil },
		func() error { return os.Truncate(path, 3) },
		func() error { return os.Chmod(path, 0) },
		func() error { return os.Remove(path) },
	} {
		assert.NilError(t, damage())
		again, err := writeInit(dir, program)
		assert.NilError(t, err)
		assert.Equal(t, again, path)
		have, err := os.ReadFile(path)
		assert.NilError(t, err)
		assert.DeepEqual(t, have, program)
		info, err := os.Stat(path)
		assert.NilError(t, err)
		assert.Equal(t, info.Mode(), os.FileMode(0o555))
	}
}

func TestTheInitIsTheNamedOneOrTheHosts(t *testing.T) {
	bin := t.TempDir()
	real := filepath.Join(bin, "tini")
	assert.NilError(t, os.WriteFile(real, nil, 0o755))
	assert.NilError(t, os.Symlink("tini", filepath.Join(bin, "docker-init")))
	t.Setenv("PATH", bin)

	path, err := findInit(stockInit)
	assert.NilError(t, err)
	assert.Equal(t, path, real)
	path, err = Config{Isolation: Isolation{InitPath: filepath.Join(bin, "docker-init")}}.initFinder()()
	assert.NilError(t, err)
	assert.Equal(t, path, real)

	t.Setenv("PATH", "/nonexistent")
	_, err = findInit(stockInit)
	assert.Error(t, err, `exec: "docker-init": executable file not found in $PATH`)
	_, err = Config{Isolation: Isolation{InitPath: filepath.Join(bin, "nosuch")}}.initFinder()()
	assert.ErrorIs(t, err, os.ErrNotExist)
}
