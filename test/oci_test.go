//go:build system

package test

import (
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func needRunc(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("needs Debian's runc")
	}
}

func TestARuntimeBinaryRunsContainers(t *testing.T) {
	needRunc(t)
	e := startLoaded(t)
	assert.Equal(t, e.must("run", "--rm", "--runtime", "oci", "busybox", "echo", "through runc"), "through runc")
	assert.Equal(t, e.must("run", "--rm", "-t", "--runtime", "oci", "busybox", "sh", "-c", "test -t 0 && tty"), "/dev/pts/0")
	for code, args := range map[int][]string{7: {"sh", "-c", "exit 7"}, 126: {"/etc"}, 127: {"nope"}} {
		res := e.any(append([]string{"run", "--rm", "--runtime", "oci", "busybox"}, args...)...)
		assert.Equal(t, res.Code, code, "%s", res)
	}

	e.must("run", "-d", "--name", "long", "--runtime", "oci", "busybox", "sleep", "1000")
	assert.Equal(t, e.must("inspect", "-f", "{{.HostConfig.Runtime}}", "long"), "oci")
	assert.Equal(t, e.must("exec", "long", "echo", "in it"), "in it")
	assert.Equal(t, e.must("exec", "-t", "long", "sh", "-c", "test -t 1 && echo terminal"), "terminal")
	e.must("run", "-d", "--name", "native", "busybox", "sleep", "1000")
	for _, args := range [][]string{{"sh", "-c", "exit 5"}, {"/etc"}, {"nope"}} {
		want := e.any(append([]string{"exec", "native"}, args...)...)
		res := e.any(append([]string{"exec", "long"}, args...)...)
		assert.Check(t, want.Code != 0)
		assert.Equal(t, res.Code, want.Code, "%s", res)
	}
	assert.Check(t, strings.Contains(e.must("top", "long"), "sleep 1000"))
	e.must("pause", "long")
	e.must("unpause", "long")
	e.must("kill", "long")
	assert.Equal(t, e.must("wait", "long"), "137")
}

func TestARuntimeBinarysContainerSurvivesAKilledDaemon(t *testing.T) {
	needRunc(t)
	e := startLoaded(t, "-e", "oci")
	e.must("run", "-d", "--name", "long", "busybox", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
	assert.Equal(t, e.must("inspect", "-f", "{{.HostConfig.Runtime}}", "long"), "oci")
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "long")
	e.Kill()
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "long"), "true "+pid)
	assert.Equal(t, e.must("exec", "long", "echo", "still"), "still")
	e.must("stop", "long")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.ExitCode}}", "long"), "3")
	e.must("start", "long")
	e.must("rm", "-f", "long")
}

func TestAnUnknownRuntimeIsRefused(t *testing.T) {
	e := startLoaded(t)
	res := e.any("run", "--runtime", "nope", "busybox", "true")
	assert.Check(t, res.Code != 0 && strings.Contains(res.Stderr, "Unknown runtime specified nope"), "%s", res)
	assert.Equal(t, e.must("run", "--rm", "--runtime", "runc", "busybox", "echo", "the default"), "the default")
}
