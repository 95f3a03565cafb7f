package main

import (
	"os"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/nettest"
)

// The contract, in three lines and a reason to skip.
func TestCrowded(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("bridges need root")
	}
	nettest.Run(t, func(t *testing.T) networkdriver.Driver {
		d, err := newCrowded(networkdriver.Config{Instance: "engine-test", IPForward: true})
		assert.NilError(t, err)
		return d
	})
}
