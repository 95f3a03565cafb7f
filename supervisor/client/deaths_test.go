package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/supervisor/client"
)

// TestARequestThatKillsEachSupervisorIsGivenUp: nothing stays of it, and all else goes on.
func TestARequestThatKillsEachSupervisorIsGivenUp(t *testing.T) {
	client.HurryAfterDeaths(t)
	b := newBench(t)
	lives := b.run(b.request("lives", "panicky"), "sleep", "1000")
	for _, id := range []string{"die-early", "die-late"} {
		q := b.request(id, "panicky")
		b.writeBundle(q, "sleep", "1000")
		_, err := b.Create(b.ctx, q)
		assert.ErrorContains(t, err, "10 supervisors have died over it")

		list, err := b.List(b.ctx)
		assert.NilError(t, err)
		assert.Equal(t, len(list), 1, "%v", list)
		assert.Equal(t, list[0].Pid, lives.Pid)
		left, err := filepath.Glob(filepath.Join(b.root, "panicky", "*"))
		assert.NilError(t, err)
		assert.Equal(t, len(left), 1, "%v", left)
		left, err = filepath.Glob(filepath.Join(client.ContainerDir(b.root, id), "*"))
		assert.NilError(t, err)
		for _, path := range left {
			info, err := os.Stat(path)
			assert.NilError(t, err)
			assert.Assert(t, filepath.Base(path) == "bundle" && info.IsDir(), "%v", left)
		}
	}
	b.run(b.request("next", "fake"), "true")
	assert.Equal(t, b.exit("next", "").ExitCode, 0)
}
