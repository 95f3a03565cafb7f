package store

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/vfs"
)

// BenchmarkOpen is the start of a daemon that has a hundred images.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	graph, err := vfs.New(graphdriver.Options{Home: filepath.Join(dir, "graph")})
	assert.NilError(b, err)
	cfg := Config{Root: filepath.Join(dir, "images"), Graph: graph}
	s, err := Open(context.Background(), cfg)
	assert.NilError(b, err)
	layer := make([]byte, 1024) // an empty tar
	diffID := digest.FromBytes(layer)
	for n := range 100 {
		lease, err := s.Unpack(context.Background(), []Source{{DiffID: diffID, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(layer)), nil
		}}})
		assert.NilError(b, err)
		config, err := json.Marshal(map[string]any{"n": n, "rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{diffID}}})
		assert.NilError(b, err)
		_, err = s.Publish(NewImage{Config: config, Names: []string{"docker.io/library/web:" + digest.FromBytes(config).Encoded()[:9]}}, lease)
		assert.NilError(b, err)
		lease.Release()
	}
	for b.Loop() {
		s, err := Open(context.Background(), cfg)
		assert.NilError(b, err)
		assert.Equal(b, len(s.Snapshot().Images), 100)
	}
}
