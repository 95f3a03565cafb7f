package fake_test

import (
	"testing"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/execdriver/fake"
)

func TestConformance(t *testing.T) {
	exectest.Run(t, func(t testing.TB, stateDir string) execdriver.Driver {
		d, err := fake.New(execdriver.Options{StateDir: stateDir})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
