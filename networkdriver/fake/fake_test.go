package fake_test

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/fake"
	"github.com/jobengine/engine/networkdriver/nettest"
)

func TestFake(t *testing.T) {
	nettest.Run(t, func(t *testing.T) networkdriver.Driver {
		d, err := fake.New(networkdriver.Config{})
		assert.NilError(t, err)
		return d
	})
}
