package oci_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/execdriver/oci"
)

func open(t testing.TB, stateDir string) execdriver.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("needs Debian's runc")
	}
	d, err := oci.New(execdriver.Options{StateDir: stateDir})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) { exectest.Run(t, open) }
