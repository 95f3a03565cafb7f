package native_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
)

// TestErrorsKeepRuncsTextAndGetAClass holds errors.go to the library that is
// linked in: docker's clients match these texts, and the classes are made from them.
func TestErrorsKeepRuncsTextAndGetAClass(t *testing.T) {
	rootfs := exectest.RootFS(t)
	assert.NilError(t, os.WriteFile(filepath.Join(rootfs, "plain"), []byte("x"), 0o644))
	cases := []struct {
		name  string
		arg   string
		text  string
		class error
	}{
		{"not in PATH", "no-such", `exec: "no-such": executable file not found in $PATH`, execdriver.ErrNoProgram},
		{"no file", "/no/such", `exec: "/no/such": stat /no/such: no such file or directory`, execdriver.ErrNoProgram},
		{"no x bit", "/plain", `exec: "/plain": permission denied`, execdriver.ErrNotExecutable},
		{"a folder", "/etc", `exec: "/etc": is a directory`, execdriver.ErrNotExecutable},
		{"below a file", "/plain/x", `exec: "/plain/x": stat /plain/x: not a directory`, execdriver.ErrNotExecutable},
	}
	d := open(t, t.TempDir())
	ctx := context.Background()
	spec := exectest.Spec(rootfs, "sleep", "1000")
	_, err := d.Create(ctx, "runs", exectest.WriteBundle(t, t.TempDir(), spec), execdriver.Stdio{})
	assert.NilError(t, err)
	t.Cleanup(func() { _ = d.Delete(ctx, "runs") })
	for _, c := range cases {
		want := "unable to start container process: " + c.text
		t.Run("create, "+c.name, func(t *testing.T) {
			_, err := d.Create(ctx, "c", exectest.WriteBundle(t, t.TempDir(), exectest.Spec(rootfs, c.arg)), execdriver.Stdio{})
			assert.Error(t, err, want)
			assert.Assert(t, errors.Is(err, c.class))
		})
		t.Run("exec, "+c.name, func(t *testing.T) {
			_, err := d.Exec(ctx, "runs", &specs.Process{Args: []string{c.arg}, Cwd: "/", Env: spec.Process.Env}, execdriver.Stdio{})
			assert.Error(t, err, want)
			assert.Assert(t, errors.Is(err, c.class))
		})
	}
}
