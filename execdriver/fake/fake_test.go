package fake_test

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"

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

// One who has released the process may be killed before it removes the FIFO; then Start is repeated.
func TestARepeatedStartFindsTheProgramRunning(t *testing.T) {
	dir := t.TempDir()
	d, err := fake.New(execdriver.Options{StateDir: dir})
	assert.NilError(t, err)
	spec := exectest.Spec(exectest.RootFS(t), "sleep", "1000")
	p, err := d.Create(t.Context(), "c", execdriver.Bundle{Dir: t.TempDir(), Spec: spec}, execdriver.Stdio{})
	assert.NilError(t, err)
	defer p.PidFD.Close()
	defer func() { assert.Check(t, d.Delete(t.Context(), "c")) }()
	fifos, err := filepath.Glob(filepath.Join(dir, "c", "start-*"))
	assert.NilError(t, err)
	assert.Equal(t, len(fifos), 1)
	fifo, err := os.OpenFile(fifos[0], os.O_WRONLY, 0)
	assert.NilError(t, err)
	_, err = fifo.WriteString("go\n")
	assert.NilError(t, err)
	assert.NilError(t, fifo.Close())
	for range 2 {
		assert.NilError(t, d.Start(t.Context(), "c"))
	}
}
