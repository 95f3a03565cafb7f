package client_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// gusher prints megabytes at once into no log.
func (b *bench) gusher(id string, megabytes string) {
	q := b.request(id, "fake")
	q.Log = protocol.Log{Driver: "none"}
	b.create(q, exectest.Script("dd if=/dev/zero bs=65536 count=$(("+megabytes+"*16)) 2>/dev/null; exit 3")...)
}

// stands waits until no more is written, and gives how much was.
func stands(out *client.Output) int64 {
	last := int64(-1)
	for same := 0; same < 20; time.Sleep(20 * time.Millisecond) {
		if now := out.Written(spool.Stdout); now != last {
			last, same = now, 0
		} else {
			same++
		}
	}
	return last
}

// TestAContainerWithoutALogWaitsForItsOnlyReader: it is slow, and misses nothing;
// also when the supervisor is upgraded or dies meanwhile.
func TestAContainerWithoutALogWaitsForItsOnlyReader(t *testing.T) {
	b := newBench(t)
	b.gusher("c", "24")
	out := b.output("c")
	out.ReadTo([2]int64{})
	assert.NilError(t, b.Start(b.ctx, "c"))
	assert.Assert(t, stands(out) <= spool.Window)
	var off int64
	buf := make([]byte, 64<<10)
	for steps := 0; ; steps++ {
		n, err := out.ReadAt(spool.Stdout, buf, off)
		if err == io.EOF {
			break
		}
		assert.NilError(t, err) // not ErrLagged
		off += int64(n)
		if n > 0 {
			out.ReadTo([2]int64{off})
		} else {
			assert.NilError(t, out.Wait(b.ctx))
		}
		switch steps {
		case 20:
			assert.NilError(t, b.Upgrade(b.ctx))
			assert.Assert(t, stands(out)-off <= spool.Window)
		case 60:
			b.kill()
			_, err := b.List(b.ctx)
			assert.NilError(t, err)
		}
	}
	assert.Equal(t, off, int64(24<<20))
	assert.Equal(t, b.exit("c", "").ExitCode, 3)
}

// TestAContainerWaitsForNobodyElse: not for one of two, not for one that has
// left, and not for ever for one that stands still.
func TestAContainerWaitsForNobodyElse(t *testing.T) {
	for name, free := range map[string]func(b *bench, out *client.Output){
		"two":       func(b *bench, _ *client.Output) { b.output("c") },
		"one left":  func(_ *bench, out *client.Output) { out.Close() },
		"it stands": func(*bench, *client.Output) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.gusher("c", "8")
			out := b.output("c")
			out.ReadTo([2]int64{})
			assert.NilError(t, b.Start(b.ctx, "c"))
			assert.Assert(t, stands(out) <= spool.Window)
			free(b, out)
			assert.Equal(t, b.exit("c", "").ExitCode, 3)
			if name != "one left" {
				_, err := out.ReadAt(spool.Stdout, make([]byte, 1), 0)
				assert.Assert(t, errors.Is(err, spool.ErrLagged))
			}
		})
	}
}
