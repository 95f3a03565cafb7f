package client

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/supervisor/protocol"
)

// What is held of a container knows its exit code when its supervisor dies.
func TestTheEndOfAFormerRunLetsNothingGoOfThisOne(t *testing.T) {
	c := &Client{o: Options{ExecRoot: t.TempDir()}, held: map[string]*held{}}
	c.exits.init()
	c.hold("c", Started{Pid: 11}, nil, false)
	c.toldExit(protocol.Exit{Container: "c", Pid: 10})
	c.toldExit(protocol.Exit{Container: "c", ExecID: "x", Pid: 11})
	assert.Assert(t, c.held["c"] != nil)
	c.toldExit(protocol.Exit{Container: "c", Pid: 11})
	assert.Assert(t, c.held["c"] == nil)
}
