package store

import (
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

// FuzzParseConfig: a config is refused as the caller's fault, or can be used.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"rootfs":{"type":"layers","diff_ids":[]},"history":[null],"config":null,"created":null}`))
	f.Add([]byte(`{"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := ParseConfig(data)
		if err != nil {
			assert.Assert(t, errdefs.IsInvalidArgument(err) || errdefs.IsOutOfRange(err), "%v", err)
			return
		}
		_ = img.Created()
		assert.Equal(t, len(img.Chain), len(img.Config.RootFS.DiffIDs))
	})
}
