package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

// TestManyAtOnceLeaveNothing: containers with an exec each, all at the same time.
func TestManyAtOnceLeaveNothing(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		pid := b.Hello().Pid
		round := func(n int) {
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					id := fmt.Sprint("c", i)
					q := b.request(id, driver)
					q.OpenStdin = true
					b.writeBundle(q, exectest.Script("echo out", "cat", "exit 3")...)
					p, err := b.Create(b.ctx, q)
					assert.Check(t, err)
					p.PidFD.Close()
					assert.Check(t, b.Start(b.ctx, id))
					x, err := b.Exec(b.ctx, protocol.Exec{Container: id, ExecID: "x", Process: b.process(exectest.Script("exit 4")...)}, client.Stdio{})
					assert.Check(t, err)
					x.PidFD.Close()
					xe := b.exit(id, "x")
					assert.Check(t, xe.ExitCode == 4, "%+v", xe)
					b.Ack(xe)
					assert.Check(t, b.CloseStdin(b.ctx, id))
					e := b.exit(id, "")
					assert.Check(t, e.ExitCode == 3, "%+v", e)
					b.Ack(e)
					assert.Check(t, b.Delete(b.ctx, id))
				})
			}
			all.Wait()
			b.mu.Lock()
			clear(b.exits)
			b.mu.Unlock()
		}
		round(5) // what the first ones bring along stays
		fds, ours := settled(t, pid, 0), settled(t, os.Getpid(), 0)
		round(40)
		// Fewer is well: libcontainer leaves some to the garbage collector.
		n := settled(t, pid, fds)
		assert.Assert(t, n <= fds, "supervisor: %d descriptors, %d before", n, fds)
		n = settled(t, os.Getpid(), ours)
		assert.Assert(t, n <= ours, "client: %d descriptors, %d before", n, ours)
		for _, dir := range []string{"containers", driver} {
			left, err := filepath.Glob(filepath.Join(b.root, dir, "[^.]*"))
			assert.NilError(t, err)
			assert.Equal(t, len(left), 0, "%v", left)
		}
	})
}

// settled counts the descriptors of a process, and waits for a moment until there
// are no more than want: acknowledgements and such are not waited for.
func settled(t *testing.T, pid, want int) int {
	t.Helper()
	patience := 100
	if want > 0 {
		patience = 2000 // it tidies up once it has come to rest
	}
	for n := 0; ; n++ {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		assert.NilError(t, err)
		if len(fds) <= want || n == patience {
			return len(fds)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
