//go:build system

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// A third party builds docs/examples/greeter with plain `go build`, and gets a
// whole engine with a job, a graph driver, an exec driver and a command more.
func TestAThirdPartysEngineHasItsOwnJobDriversAndCommand(t *testing.T) {
	useExample(t, "greeter")
	e := startLoaded(t, "-s", "counting", "-e", "announcing")

	assert.Equal(t, e.must("greet", "Ada"), "Hello, Ada!")
	assert.Equal(t, e.must("greet", "--loud", "Ada"), "HELLO, ADA!")
	assert.Equal(t, e.must("job", "greet", "Bob"), `{"Text":"Hello, Bob!"}`)
	assert.Assert(t, strings.Contains(e.must("jobs", "--names"), "greet"))
	assert.Assert(t, strings.Contains(e.must("--help"), "Greet somebody"))
	refused := e.any("greet", "")
	assert.Equal(t, refused.Code, 1)
	assert.Assert(t, strings.Contains(refused.Stderr, "nobody to greet"), refused.Stderr)

	assert.Equal(t, e.must("run", "--rm", "busybox", "sh", "-c", "echo $GREETED_BY"), "greeter")
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	assert.Equal(t, e.must("inspect", "-f", "{{.Driver}} {{.HostConfig.Runtime}}", "web"), "counting announcing")
	info := e.any("info")
	assert.Assert(t, strings.Contains(info.Stdout, "Trees asked for:"), info)
	assert.Assert(t, strings.Contains(info.Stderr, "No seccomp support"), "a plain build must say what it lacks: %s", info)
}

// useExample builds an engine of docs/examples; the daemons and clients of the test are of it.
func useExample(t *testing.T, name string) {
	t.Helper()
	root, err := harness.Root()
	assert.NilError(t, err)
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", program, "./docs/examples/"+name)
	build.Dir = root
	build.Env = append(os.Environ(), "GOFLAGS=")
	out, err := build.CombinedOutput()
	assert.NilError(t, err, "%s", out)
	t.Setenv("ENGINE_BIN", program)
}
