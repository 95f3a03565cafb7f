package supervisor

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"gotest.tools/v3/assert"
)

// An exec may be refused, and noted, while its container is removed.
func TestAFolderThatIsStillWrittenToIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	requests := filepath.Join(dir, "requests")
	assert.NilError(t, os.MkdirAll(requests, 0o700))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 3000 { // until the folder has gone
			if os.WriteFile(filepath.Join(requests, strconv.Itoa(i)), nil, 0o600) != nil {
				return
			}
		}
	}()
	assert.NilError(t, removeWhileWritten(dir))
	<-done
	_, err := os.Stat(dir)
	assert.Assert(t, os.IsNotExist(err))
}
