package host_test

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/host"
	"github.com/jobengine/engine/networkdriver/nettest"
)

func TestHost(t *testing.T) {
	nettest.Run(t, func(t *testing.T) networkdriver.Driver {
		d, err := host.New(networkdriver.Config{})
		assert.NilError(t, err)
		return d
	})
}
