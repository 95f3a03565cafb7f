package archive

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// swapping exchanges a folder of the root with a link to the canary for as long
// as the test lasts, as a container does that wants to lead a copy astray.
func (c *canary) swapping(t *testing.T) {
	t.Helper()
	x, y := filepath.Join(c.root, "x"), filepath.Join(c.root, "y")
	assert.NilError(t, os.Mkdir(x, 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(x, "secret"), []byte("harmless"), 0o600))
	assert.NilError(t, os.Symlink(c.outside, y))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, x, unix.AT_FDCWD, y, unix.RENAME_EXCHANGE)
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
}

func TestUnpackIsContainedWhileFoldersAreSwappedForLinks(t *testing.T) {
	c := newCanary(t)
	c.swapping(t)
	through := pack(reg("x/secret", "pwned"), reg("x/deep/er/new", "pwned"), lnk("x/h", "x/secret"), reg("y/secret", "pwned"))
	data := pack(fold("x"), reg("x/secret", "pwned"), reg("x/new", "pwned"), fold("x/sub").mode(0o777), lnk("x/h", "x/secret"), sym("x/s", "/"))
	failed := 0
	for range 1000 {
		// What is in the way is not removed here: else x becomes a folder for good.
		if _, err := unpack(t, c.root, data, UnpackOptions{NoOverwriteDirNonDir: true}); err != nil {
			failed++
		}
		_, _ = unpack(t, c.root, through, UnpackOptions{}) // with or without an error
	}
	c.unharmed(t)
	t.Logf("%d of 1000 were disturbed", failed)
}

func TestPackReadsNothingOutsideWhileFoldersAreSwappedForLinks(t *testing.T) {
	c := newCanary(t)
	c.swapping(t)
	for range 300 {
		var buf bytes.Buffer
		assert.NilError(t, Pack(t.Context(), &buf, c.root, PackOptions{}))
		r := tar.NewReader(&buf)
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			assert.NilError(t, err)
			data, err := io.ReadAll(r)
			assert.NilError(t, err)
			assert.Assert(t, string(data) == "" || string(data) == "harmless", "%s holds %q", h.Name, data)
			assert.Assert(t, !strings.HasSuffix(h.Name, "setuid"), "an entry %s", h.Name)
		}
	}
}
