package client_test

import (
	"slices"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

func TestADriverIsOpenedUnderAFurtherName(t *testing.T) {
	b := newBench(t)
	assert.Check(t, !slices.Contains(b.Hello().Drivers, "second"))
	b.Close()
	b.wanted = []protocol.Driver{{Name: "second", Kind: "fake"}}
	b.connect() // to the same supervisor
	assert.Check(t, slices.Contains(b.Hello().Drivers, "second"))
	assert.Check(t, slices.Contains(b.Hello().Drivers, "fake"))
	b.run(b.request("c", "second"), "sleep", "1000")

	// The next supervisor knows the name before any daemon tells it.
	pid := b.Hello().Pid
	b.kill()
	for b.Hello().Pid == pid || b.Hello().Pid == 0 {
		time.Sleep(time.Millisecond)
		assert.NilError(t, b.ctx.Err())
	}
	list, err := b.List(b.ctx)
	assert.NilError(t, err)
	assert.Equal(t, len(list), 1)
	assert.Equal(t, list[0].State, protocol.StateRunning)

	// A daemon that does not want it can still end its containers.
	b.Close()
	b.wanted = nil
	b.connect()
	assert.NilError(t, b.Delete(b.ctx, "c"))
	b.Close()
	b.connect()
	assert.Check(t, !slices.Contains(b.Hello().Drivers, "second"), "%q", b.Hello().Drivers)
}

func TestBadDriversAreRefusedAndChangeNothing(t *testing.T) {
	b := newBench(t)
	for want, drivers := range map[string][]protocol.Driver{
		`fake: unknown option "colour"`:     {{Name: "good", Kind: "fake"}, {Name: "bad", Kind: "fake", Options: map[string]string{"colour": "red"}}},
		`exec driver "x": there is no "y"`:  {{Name: "x", Kind: "y"}},
		`exec driver name "../x"`:           {{Name: "../x", Kind: "fake"}},
		`exec driver "x" is named twice`:    {{Name: "x", Kind: "fake"}, {Name: "x", Kind: "fake"}},
		`exec driver "fake" is not a "any"`: {{Name: "fake", Kind: "any"}},
	} {
		_, err := client.Open(b.ctx, client.Options{ExecRoot: b.root, Log: b.heard.add, Drivers: drivers})
		assert.ErrorContains(t, err, want)
	}
	b.Close()
	b.connect()
	assert.Check(t, !slices.Contains(b.Hello().Drivers, "good"))
}
