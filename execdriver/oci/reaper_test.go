package oci

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/internal/pidfd"
)

func isSubreaper(t *testing.T) bool {
	t.Helper()
	var on int32
	assert.NilError(t, unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&on)), 0, 0, 0))
	return on != 0
}

// A runtime that leaves a helper process behind, as gVisor and Kata do.
func TestOrphansOfARuntimeAreBuriedAndNoSubreaperIsLeft(t *testing.T) {
	d := openReal(t)
	patience = 50 * time.Millisecond
	dir := t.TempDir()
	helper, script := filepath.Join(dir, "helper"), filepath.Join(dir, "runtime")
	text := fmt.Sprintf("#!/bin/sh\nrunc \"$@\"\ncode=$?\ncase \"$*\" in *\" create \"*)\n  sleep 0.3 </dev/null >/dev/null 2>&1 & echo $! > %s\nesac\nexit $code\n", helper)
	assert.NilError(t, os.WriteFile(script, []byte(text), 0o700))
	d.program.Path = script
	ctx := context.Background()
	p, err := d.Create(ctx, "c", exectest.WriteBundle(t, t.TempDir(), exectest.Spec(exectest.RootFS(t), exectest.Script("exit 7")...)), execdriver.Stdio{})
	assert.NilError(t, err)
	defer p.PidFD.Close()
	assert.Check(t, !isSubreaper(t))
	assert.Check(t, children()[p.Pid], "the container is nobody's child, so an old kernel would lose its exit code")
	var pid int
	word, err := os.ReadFile(helper)
	assert.NilError(t, err)
	_, err = fmt.Sscan(string(word), &pid)
	assert.NilError(t, err)
	assert.Check(t, children()[pid])
	assert.NilError(t, d.Start(ctx, "c"))
	code, err := pidfd.Await(p.PidFD, pidfd.Process{Pid: p.Pid})
	assert.NilError(t, err)
	assert.Equal(t, code, 7)
	pidfd.Reap(p.PidFD)
	assert.NilError(t, d.Delete(ctx, "c"))
	for range 1000 {
		if !children()[pid] {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the runtime's helper stays a zombie")
}

func TestARuntimeHasArgumentsAndStaysWithItsContainers(t *testing.T) {
	d := openReal(t)
	calls := filepath.Join(t.TempDir(), "calls")
	script := filepath.Join(t.TempDir(), "runtime")
	assert.NilError(t, os.WriteFile(script, []byte("#!/bin/sh\necho \"$1|$2\" >> "+calls+"\nshift 2\nexec runc \"$@\"\n"), 0o700))
	open := func(options map[string]string) *Driver {
		o, err := New(execdriver.Options{StateDir: d.stateDir, Options: options})
		assert.NilError(t, err)
		return o.(*Driver)
	}
	ctx := context.Background()
	first := open(map[string]string{"path": script, "args": `["a b", "c"]`})
	p, err := first.Create(ctx, "c", exectest.WriteBundle(t, t.TempDir(), exectest.Spec(exectest.RootFS(t), "sleep", "1000")), execdriver.Stdio{})
	assert.NilError(t, err)
	// Another configuration does not concern this container.
	assert.NilError(t, open(map[string]string{"path": "/no/such/runtime"}).Delete(ctx, "c"))
	pidfd.Reap(p.PidFD)
	p.PidFD.Close()
	said, err := os.ReadFile(calls)
	assert.NilError(t, err)
	assert.Equal(t, string(said), "a b|c\na b|c\n")
	assert.DeepEqual(t, open(map[string]string{"args": " --one  two "}).program, program{Path: "runc", Args: []string{"--one", "two"}})
	for _, bad := range []map[string]string{{"path": ""}, {"args": "[1]"}, {"args": "[\"a\""}, {"color": "red"}} {
		_, err := New(execdriver.Options{StateDir: t.TempDir(), Options: bad})
		assert.ErrorContains(t, err, "oci: ")
	}
}
