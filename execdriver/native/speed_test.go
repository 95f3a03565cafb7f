package native_test

import (
	"context"
	"fmt"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/internal/pidfd"
)

// BenchmarkLife is the driver's own part of a container that runs `true`.
func BenchmarkLife(b *testing.B) {
	d, ctx := open(b, b.TempDir()), context.Background()
	bundle := exectest.WriteBundle(b, b.TempDir(), exectest.Spec(exectest.RootFS(b), "true"))
	n := 0
	for b.Loop() {
		n++
		id := fmt.Sprint("c", n)
		p, err := d.Create(ctx, id, bundle, execdriver.Stdio{})
		assert.NilError(b, err)
		assert.NilError(b, d.Start(ctx, id))
		_, err = pidfd.Await(p.PidFD, pidfd.Process{Pid: p.Pid})
		assert.NilError(b, err)
		pidfd.Reap(p.PidFD)
		p.PidFD.Close()
		assert.NilError(b, d.Delete(ctx, id))
	}
}

// BenchmarkExec is the driver's own part of an exec of `true`.
func BenchmarkExec(b *testing.B) {
	d, ctx := open(b, b.TempDir()), context.Background()
	spec := exectest.Spec(exectest.RootFS(b), "sleep", "1000")
	p, err := d.Create(ctx, "c", exectest.WriteBundle(b, b.TempDir(), spec), execdriver.Stdio{})
	assert.NilError(b, err)
	defer p.PidFD.Close()
	assert.NilError(b, d.Start(ctx, "c"))
	process := *spec.Process
	process.Args = []string{"true"}
	for b.Loop() {
		x, err := d.Exec(ctx, "c", &process, execdriver.Stdio{})
		assert.NilError(b, err)
		_, err = pidfd.Await(x.PidFD, pidfd.Process{Pid: x.Pid})
		assert.NilError(b, err)
		pidfd.Reap(x.PidFD)
		x.PidFD.Close()
	}
	assert.NilError(b, d.Delete(ctx, "c"))
	pidfd.Reap(p.PidFD)
}
