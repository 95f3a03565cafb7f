package bridge_test

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge"
	"github.com/jobengine/engine/networkdriver/nettest"
)

func TestBridge(t *testing.T) {
	nettest.Run(t, func(t *testing.T) networkdriver.Driver {
		d, err := bridge.New(networkdriver.Config{Instance: "engine-test", IPForward: true})
		assert.NilError(t, err)
		return d
	})
}
