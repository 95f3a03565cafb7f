package client_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
)

// BenchmarkRun compares the life of a container that runs `true` with a bare
// `runc run` of the same bundle, in a loop and each after 100 ms of idleness. With
// ENGINE_SUPERVISOR the small program of that path is used, from sealed memory.
func BenchmarkRun(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	for _, idle := range []time.Duration{0, 100 * time.Millisecond} {
		b.Run(fmt.Sprintf("idle=%v", idle), func(b *testing.B) {
			ours, runc := supervised(b), bareRunc(b)
			var a, c []time.Duration
			for range b.N { // in turns, so that a busy machine is as busy for both
				b.StopTimer()
				time.Sleep(idle)
				b.StartTimer()
				a = append(a, ours())
				b.StopTimer()
				time.Sleep(idle)
				c = append(c, runc())
			}
			report(b, "supervisor", a)
			report(b, "runc", c)
		})
	}
}

func report(b *testing.B, name string, all []time.Duration) {
	slices.Sort(all)
	b.ReportMetric(float64(all[0].Microseconds())/1000, name+"-min-ms")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-median-ms")
}

func supervised(b *testing.B) func() time.Duration {
	bench := newBench(b)
	if path := os.Getenv("ENGINE_SUPERVISOR"); path != "" {
		bench.end()
		binary, err := os.ReadFile(path)
		assert.NilError(b, err)
		sealed, keep, err := client.SealedCommand(binary)
		assert.NilError(b, err)
		b.Cleanup(func() { keep.Close() })
		bench.connectWith(func() (*exec.Cmd, error) { return exec.Command(sealed), nil })
	}
	q := bench.request("warm", "native")
	n := 0
	return func() time.Duration {
		n++
		q.ID = fmt.Sprint("c", n)
		bench.writeBundle(q, "true")
		began := time.Now()
		p, err := bench.Create(bench.ctx, q)
		assert.NilError(b, err)
		assert.NilError(b, bench.Start(bench.ctx, q.ID))
		bench.Ack(bench.exit(q.ID, ""))
		assert.NilError(b, bench.Delete(bench.ctx, q.ID))
		p.PidFD.Close()
		return time.Since(began)
	}
}

func bareRunc(b *testing.B) func() time.Duration {
	runc, err := exec.LookPath("runc")
	if err != nil {
		b.Skip(err)
	}
	dir, n := b.TempDir(), 0
	spec := exectest.Spec(exectest.RootFS(b), "true")
	exectest.WriteBundle(b, filepath.Join(dir, "bundle"), spec)
	return func() time.Duration {
		n++
		began := time.Now()
		cmd := exec.Command(runc, "--root", filepath.Join(dir, "state"), "run", fmt.Sprint("speed", n))
		cmd.Dir = filepath.Join(dir, "bundle")
		if text, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, text)
		}
		return time.Since(began)
	}
}
