package tarsplit

import (
	"bytes"
	"context"
	"os"
	"testing"

	"gotest.tools/v3/assert"
)

// FuzzRoundTrip: what can be unpacked comes back as it was, or is known beforehand to be kept whole.
func FuzzRoundTrip(f *testing.F) {
	f.Add(makeTar(f, file("a", "x"), file("b/c", "y"), file(".wh.d", "z")))
	f.Add(append(makeTar(f, file("a", "x")), "trailing"...))
	if data, err := os.ReadFile("testdata/sparse.tar"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var index bytes.Buffer
		sum, err := Split(&index, bytes.NewReader(data))
		assert.NilError(t, err)
		dir, err := unpack(t, data)
		if err != nil || sum.Whole != "" {
			return
		}
		again, err := join(index.Bytes(), dir)
		assert.NilError(t, err)
		assert.Assert(t, bytes.Equal(again, data))
	})
}

// FuzzJoin: an index of somebody else's making gives an error or bytes, and ends.
func FuzzJoin(f *testing.F) {
	index, _ := split(f, makeTar(f, file("a", "x")))
	f.Add(index)
	f.Fuzz(func(t *testing.T, index []byte) {
		dir := t.TempDir()
		assert.NilError(t, os.WriteFile(dir+"/a", []byte("x"), 0o600))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_ = Join(ctx, &limited{cancel: cancel}, bytes.NewReader(index), dir)
	})
}

// limited ends a Join that writes without end: an index may claim any number of zeros.
type limited struct {
	n      int
	cancel func()
}

func (l *limited) Write(p []byte) (int, error) {
	if l.n += len(p); l.n > 10<<20 {
		l.cancel()
	}
	return len(p), nil
}
