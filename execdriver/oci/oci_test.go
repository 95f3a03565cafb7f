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
	runtime := os.Getenv("OCI_RUNTIME")
	if runtime == "" {
		runtime = "runc"
	}
	if _, err := exec.LookPath(runtime); err != nil {
		t.Skip("needs Debian's " + runtime)
	}
	d, err := oci.New(execdriver.Options{StateDir: stateDir, Options: map[string]string{"path": runtime}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) { exectest.Run(t, open) }
