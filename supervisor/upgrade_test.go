package supervisor

import (
	"os"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/fake"
	"github.com/jobengine/engine/supervisor/protocol"
)

// TestATrialRefusesWhatItCouldNotTakeOver: an upgrade to such a program would
// lose containers.
func TestATrialRefusesWhatItCouldNotTakeOver(t *testing.T) {
	root := t.TempDir()
	drivers := Drivers{"fake": fake.New}
	save := func(id, text string) {
		dir := protocol.ContainerDir(root, id)
		assert.NilError(t, os.MkdirAll(dir, 0o700))
		assert.NilError(t, os.WriteFile(dir+"/state.json", []byte(text), 0o600))
	}
	save("c", `{"Version":1,"Create":{"ID":"c","Driver":"fake"}}`)
	save("damaged", `{garbage`)
	assert.NilError(t, os.MkdirAll(protocol.ContainerDir(root, "half"), 0o700))
	assert.NilError(t, trial(root, handoverVersion, drivers))
	assert.ErrorContains(t, trial(root, handoverVersion+1, drivers), "handovers of version")
	assert.ErrorContains(t, trial(root, handoverVersion, Drivers{}), `no exec driver "fake"`)
	save("newer", `{"Version":1000,"Create":{"ID":"newer","Driver":"fake"}}`)
	assert.ErrorContains(t, trial(root, handoverVersion, drivers), "newer than this program")
}

func TestAGateThatCannotCloseStaysOpen(t *testing.T) {
	g := newGate()
	leave := g.enter()
	assert.Assert(t, !g.close(10*time.Millisecond))
	g.enter()()
	var closed sync.WaitGroup
	closed.Go(func() { assert.Check(t, g.close(20*time.Second)) })
	for done := false; !done; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		done = g.closing
		g.mu.Unlock()
	}
	g.enterEnd()() // while a request is inside, ends go on: it may be waiting for one
	leave()
	closed.Wait()
	entered := make(chan struct{}, 2)
	for _, enter := range []func() func(){g.enter, g.enterEnd} {
		go func() { enter()(); entered <- struct{}{} }()
	}
	select {
	case <-entered:
		t.Error("the gate is closed and somebody came in")
	case <-time.After(20 * time.Millisecond):
	}
	g.open()
	<-entered
	<-entered
}
