package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

// TestIdleContainersWeighLittle: no thread for each of them, and at most 0.2 MB.
func TestIdleContainersWeighLittle(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		pid := b.Hello().Pid
		run := func(i int) {
			id := fmt.Sprint("c", i)
			b.run(b.request(id, driver), exectest.Script("echo ready", "exec sleep 1000")...)
			out, err := b.Output(b.ctx, id)
			assert.NilError(t, err)
			await(t, b.ctx, out, "ready")
			out.Close()
		}
		for i := range 10 { // what the first ones bring along is not theirs
			run(i)
		}
		time.Sleep(200 * time.Millisecond)
		threads, pss := count(t, pid, "status", "Threads:"), count(t, pid, "smaps_rollup", "Pss:")
		const more = 60
		for i := range more {
			run(10 + i)
		}
		time.Sleep(200 * time.Millisecond)
		threads2, pss2 := count(t, pid, "status", "Threads:"), count(t, pid, "smaps_rollup", "Pss:")
		t.Logf("%d containers: threads %d, PSS %d kB; with %d more: threads %d, PSS %d kB", 10, threads, pss, more, threads2, pss2)
		assert.Assert(t, threads2 < threads+more/4)
		if each := (pss2 - pss) / more; each > 200 && !raceDetector {
			t.Errorf("a container costs %d kB", each)
		}
	})
}

// count reads a number from a file of /proc/PID.
func count(t *testing.T, pid int, file, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	assert.NilError(t, err)
	for _, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			assert.NilError(t, err)
			return n
		}
	}
	t.Fatalf("no %s in %s", field, file)
	return 0
}

// TestManyEndsAtOnceTakeFewThreads: each end is written down, and a thread that waits for
// a disk stays with the process for good.
func TestManyEndsAtOnceTakeFewThreads(t *testing.T) {
	b := newBench(t)
	b.run(b.request("c", "fake"), "sleep", "1000")
	pid := b.Hello().Pid
	release := filepath.Join(b.root, "release")
	const execs = 150
	for i := range execs {
		script := exectest.Script("while ! [ -e " + release + " ]; do sleep 0.2; done")
		x, err := b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: fmt.Sprint("x", i), Process: b.process(script...)}, client.Stdio{})
		assert.NilError(t, err)
		x.PidFD.Close()
	}
	before := count(t, pid, "status", "Threads:")
	assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGKILL)) // and with it all of them
	for i := range execs {
		b.Ack(b.exit("c", fmt.Sprint("x", i)))
	}
	after := count(t, pid, "status", "Threads:")
	t.Logf("threads %d, and %d after %d ends at once", before, after, execs)
	assert.Assert(t, after < before+40, "threads %d, then %d", before, after)
}
