package client_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
)

// TestExitCodeAfterTwoDeaths: the first while nothing
// happens, the second while the container ends; its daemon has come after its start.
func TestExitCodeAfterTwoDeaths(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		if !kernelAtLeast(6, 15) {
			t.Skip("this kernel does not keep exit codes for pidfds")
		}
		for i := range 10 {
			id := fmt.Sprint("c", i)
			p := b.run(b.request(id, driver), exectest.Script("trap 'exit 7' TERM", "echo ready", "while :; do sleep 0.01; done")...)
			await(t, b.ctx, b.output(id), "ready")
			b.Close()
			b.connect()
			pid := b.Hello().Pid
			b.kill()
			for b.Hello().Pid == pid || b.Hello().Pid == 0 {
				time.Sleep(time.Millisecond)
				assert.NilError(t, b.ctx.Err())
			}
			next := b.Hello().Pid
			assert.NilError(t, syscall.Kill(p.Pid, syscall.SIGTERM))
			time.Sleep(time.Duration(i) * 2 * time.Millisecond)
			_ = syscall.Kill(next, syscall.SIGKILL)
			e := b.exit(id, "")
			assert.Equal(t, e.ExitCode, 7, "round %d: %+v", i, e)
			assert.NilError(t, b.Delete(b.ctx, id))
		}
	})
}
