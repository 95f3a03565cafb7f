package native_test

import (
	"os"
	"testing"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/execdriver/native"
)

func open(t testing.TB, stateDir string) execdriver.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	d, err := native.New(execdriver.Options{StateDir: stateDir})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) { exectest.Run(t, open) }
