package images

import (
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver/vfs"
)

// FuzzFind: whatever a client calls an image, the answer is that image, not
// found, or the client's fault.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"web", "web:1", "a@sha256:x", "sha256:ab", "../x", "UPPER", "a//b", ":", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		b := openBench(t, t.TempDir(), vfs.New, nil)
		_, err := b.find(name)
		assert.Assert(t, errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err), "%v", err)
		if _, err := newName(name, "", "digest"); err != nil {
			assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		}
		if _, err := newName("web", name, "digest"); err != nil {
			assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		}
	})
}
