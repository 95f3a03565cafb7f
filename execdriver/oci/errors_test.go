package oci

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
)

func openReal(t testing.TB) *Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("needs Debian's runc")
	}
	d, err := New(execdriver.Options{StateDir: t.TempDir()})
	assert.NilError(t, err)
	return d.(*Driver)
}

// The sentences are the runtime's, and dockerd's clients know them.
func TestTheRuntimesSentencesAreClassedAndKept(t *testing.T) {
	d := openReal(t)
	root := exectest.RootFS(t)
	assert.NilError(t, os.WriteFile(filepath.Join(root, "secret"), nil, 0o600))
	cases := []struct {
		change func(*specs.Spec)
		class  error
		text   string
	}{
		{func(s *specs.Spec) { s.Process.Args[0] = "nope" }, execdriver.ErrNoProgram, `exec: "nope": executable file not found in $PATH`},
		{func(s *specs.Spec) { s.Process.Args[0] = "/no/such" }, execdriver.ErrNoProgram, `exec: "/no/such": stat /no/such: no such file or directory`},
		{func(s *specs.Spec) { s.Process.Args[0] = "/etc/passwd" }, execdriver.ErrNotExecutable, `exec: "/etc/passwd": permission denied`},
		{func(s *specs.Spec) { s.Process.Args[0] = "/etc/passwd/x" }, execdriver.ErrNotExecutable, `exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory`},
		{func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: "/no/such/source", Type: "bind", Options: []string{"bind"}})
		}, nil, `/no/such/source`},
	}
	for _, c := range cases {
		spec := exectest.Spec(root, "/bin/true")
		c.change(spec)
		_, err := d.Create(context.Background(), "c", exectest.WriteBundle(t, t.TempDir(), spec), execdriver.Stdio{})
		assert.Check(t, err != nil && strings.Contains(err.Error(), c.text), "%v", err)
		assert.Check(t, !strings.Contains(err.Error(), "runc create failed"), "%v", err)
		for _, class := range []error{execdriver.ErrNoProgram, execdriver.ErrNotExecutable} {
			assert.Check(t, errors.Is(err, class) == (class == c.class), "%v is %v", err, class)
		}
	}
}

func TestAMissingRuntimeIsToldAndNothingIsLeft(t *testing.T) {
	d := openReal(t)
	d.program.Path = "/no/such/runtime"
	spec := exectest.Spec(exectest.RootFS(t), "/bin/true")
	_, err := d.Create(context.Background(), "c", exectest.WriteBundle(t, t.TempDir(), spec), execdriver.Stdio{})
	assert.ErrorContains(t, err, "/no/such/runtime")
	assert.Check(t, errors.Is(err, os.ErrNotExist) && !errors.Is(err, execdriver.ErrNoProgram))
	ids, err := d.List(context.Background())
	assert.NilError(t, err)
	assert.Equal(t, len(ids), 0)
}

func TestAnErrorIsTheLastOneOfTheLog(t *testing.T) {
	log := `{"level":"error","msg":"first"}
garbage
{"level":"error","msg":"second"}
{"level":"warning","msg":"third"}
`
	assert.Equal(t, lastError([]byte(log)), "second")
	assert.Equal(t, lastError(nil), "")
}

func TestCrunsSentencesAreClassed(t *testing.T) {
	for text, class := range map[string]error{
		"executable file `nope` not found in $PATH: No such file or directory": execdriver.ErrNoProgram,
		"executable file `nope` not found in $PATH":                            execdriver.ErrNoProgram,
		"open executable: Permission denied":                                   execdriver.ErrNotExecutable,
		"exec container process `/bin/x`: Permission denied":                   execdriver.ErrNotExecutable,
		"mount `proc` to `proc`: Permission denied":                            nil,
	} {
		err := classify(text)
		assert.Equal(t, err.Error(), text)
		for _, c := range []error{execdriver.ErrNoProgram, execdriver.ErrNotExecutable} {
			assert.Check(t, errors.Is(err, c) == (c == class), "%s", text)
		}
	}
}

func TestUnknownOptionsAreRefused(t *testing.T) {
	_, err := New(execdriver.Options{StateDir: t.TempDir(), Options: map[string]string{"colour": "red"}})
	assert.ErrorContains(t, err, "colour")
	_, err = New(execdriver.Options{StateDir: "relative"})
	assert.ErrorContains(t, err, "absolute")
}
