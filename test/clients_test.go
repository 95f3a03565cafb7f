//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// The parity files compare in depth; this shows that each client works at all.
func TestEveryClientRunsContainers(t *testing.T) {
	clis, err := harness.CLIs()
	assert.NilError(t, err)
	for _, cli := range clis {
		t.Run(cli.Name, func(t *testing.T) {
			e := start(t)
			e.cli = cli
			assert.Assert(t, strings.HasPrefix(e.must("load", "-i", busybox), "Loaded image: busybox:latest"))
			assert.Equal(t, e.must("run", "--rm", "-e", "A=1", "-w", "/tmp", "-u", "alice", "busybox", "sh", "-c", "echo $A; pwd; id -un"), "1\n/tmp\nalice")
			assert.Equal(t, e.any("run", "--rm", "busybox", "sh", "-c", "exit 7").Code, 7)
			assert.Equal(t, len(e.must("run", "-d", "--name", "web", "busybox", "sh", "-c", "echo hello; sleep 1000")), 64)
			assert.Equal(t, e.must("exec", "web", "echo", "inside"), "inside")
			assert.Equal(t, e.any("exec", "web", "sh", "-c", "exit 3").Code, 3)
			assert.Equal(t, e.must("ps", "--format", "{{.Names}} {{.Image}}"), "web busybox")
			eventually(t, "the log has its line", func() bool { return e.must("logs", "web") == "hello" })
			e.must("stop", "-t", "0", "web")
			assert.Equal(t, e.must("inspect", "-f", "{{.State.ExitCode}}", "web"), "137")
			e.must("rm", "web")
			e.must("rmi", "busybox")
			assert.Equal(t, e.must("images", "-q"), "")
		})
	}
}

func TestEveryClientHasATerminal(t *testing.T) {
	clis, err := harness.CLIs()
	assert.NilError(t, err)
	e := startLoaded(t)
	for _, cli := range clis {
		t.Run(cli.Name, func(t *testing.T) {
			// Docker 20.10 sends the window's size only after the start.
			term, err := e.Command(cli, "run", "-it", "--rm", "busybox", "sh", "-c", `until stty size | grep -q " 80"; do sleep 0.05; done; stty size; printf "name? "; read n; echo "hello $n"; exit 3`).Terminal()
			assert.NilError(t, err)
			assert.NilError(t, term.Expect("24 80"))
			assert.NilError(t, term.Expect("name? "))
			assert.NilError(t, term.Type("Ada\r"))
			assert.NilError(t, term.Expect("hello Ada"))
			code, err := term.Wait()
			assert.NilError(t, err)
			assert.Equal(t, code, 3)
		})
	}
}

// Docker 20.10 asks for all capabilities and fails where the host has less.
func TestPrivilegedHasWhatTheHostHas(t *testing.T) {
	e := startLoaded(t)
	const show = "grep CapEff /proc/self/status"
	ours := harness.Command{Path: "/bin/sh", Args: []string{"-c", show}}
	host, err := ours.Run(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, e.must("run", "--rm", "--privileged", "busybox", "sh", "-c", show), host.Out())
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	assert.Equal(t, e.must("exec", "--privileged", "web", "sh", "-c", show), host.Out())
}
