package execs

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/runtime"
)

func TestAnExitThatComesBeforeTheStartIsAnsweredCounts(t *testing.T) {
	e := &execution{started: make(chan struct{}), ended: make(chan struct{})}
	assert.NilError(t, e.begin())
	assert.Assert(t, e.end(5))
	e.run(runtime.Process{Pid: 1})
	assert.Assert(t, !e.end(0))
	assert.Equal(t, *e.exitCode, 5)
}
