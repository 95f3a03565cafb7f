package null_test

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/nettest"
	"github.com/jobengine/engine/networkdriver/null"
)

func TestNull(t *testing.T) {
	nettest.Run(t, func(t *testing.T) networkdriver.Driver {
		d, err := null.New(networkdriver.Config{})
		assert.NilError(t, err)
		return d
	})
}
