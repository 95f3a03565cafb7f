package graphtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/overlay2"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/durable"
)

// pieces is a layer's diff that is read in small parts, each of which counts as a
// call of the file system.
func pieces(t *testing.T, fsys durable.FS) io.Reader {
	t.Helper()
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "one"), bytes.Repeat([]byte("1"), 3000), 0o644))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "two"), bytes.Repeat([]byte("2"), 3000), 0o644))
	var tar bytes.Buffer
	assert.NilError(t, archive.Pack(context.Background(), &tar, dir, archive.PackOptions{}))
	return reading{iotest.OneByteReader(&tar), fsys, new(int)}
}

type reading struct {
	io.Reader
	fs   durable.FS
	read *int
}

func (r reading) Read(p []byte) (int, error) {
	if *r.read++; *r.read%2000 == 0 {
		if _, err := r.fs.Lstat("/"); err != nil {
			return 0, err
		}
	}
	return r.Reader.Read(p)
}

// Every call on the file system fails once, or it and all later ones. The layer
// is there and whole then, or it can be made again; and what is left on the disk is
// gone when the driver is opened the next time.
func TestEveryCallOfTheFileSystemMayFail(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("overlays need root")
	}
	ctx := context.Background()
	steps := map[string]func(d graphdriver.Driver, fsys durable.FS) error{
		"create and apply": func(d graphdriver.Driver, fsys durable.FS) error {
			if err := d.Create(ctx, "top", "base"); err != nil {
				return err
			}
			_, err := d.ApplyDiff(ctx, "top", pieces(t, fsys))
			return err
		},
		"writable": func(d graphdriver.Driver, _ durable.FS) error {
			if err := d.CreateReadWrite(ctx, "top", "base", nil); err != nil {
				return err
			}
			return graphdriver.Sync(ctx, d, "top")
		},
		"remove": func(d graphdriver.Driver, _ durable.FS) error { return d.Remove(ctx, "old") },
	}
	for name, open := range map[string]graphdriver.New{"overlay2": overlay2.New, "vfs": vfs.New} {
		for verb, step := range steps {
			for _, way := range []string{"dies", "fails once"} {
				t.Run(strings.Join([]string{name, verb, way}, "/"), func(t *testing.T) {
					for n := 1; ; n++ {
						assert.Assert(t, n < 500, "no end of calls")
						home := t.TempDir()
						d, err := open(graphdriver.Options{Home: home})
						assert.NilError(t, err)
						assert.NilError(t, d.Create(ctx, "base", ""))
						_, err = d.ApplyDiff(ctx, "base", pieces(t, durable.OS))
						assert.NilError(t, err)
						assert.NilError(t, d.CreateReadWrite(ctx, "old", "base", nil))
						assert.NilError(t, d.Cleanup())

						failing := durable.FailFrom(durable.OS, n, syscall.EIO)
						if way == "fails once" {
							failing = durable.FailOnce(durable.OS, n, syscall.EIO)
						}
						d, err = open(graphdriver.Options{Home: home, FS: failing})
						assert.NilError(t, err)
						err = step(d, failing)
						if err != nil {
							assert.Assert(t, errors.Is(err, syscall.EIO), "call %d: %v", n, err)
						}
						if err != nil && way == "fails once" {
							// The caller takes back what it has begun, and tries again.
							if verb != "remove" {
								assert.NilError(t, d.Remove(ctx, "top"), "call %d", n)
							}
							assert.NilError(t, step(d, durable.OS), "call %d: again", n)
							err = nil
						}
						assert.NilError(t, d.Cleanup())

						next, nerr := open(graphdriver.Options{Home: home})
						assert.NilError(t, nerr)
						assert.NilError(t, next.Cleanup())
						entries, nerr := os.ReadDir(home)
						assert.NilError(t, nerr)
						for _, e := range entries {
							assert.Assert(t, !strings.HasPrefix(e.Name(), "."), "call %d has left %s", n, e.Name())
							assert.NilError(t, graphdriver.Check(ctx, next, e.Name()), "call %d", n)
						}
						if err != nil && verb != "remove" {
							assert.NilError(t, next.Remove(ctx, "top"), "call %d", n)
							assert.NilError(t, step(next, durable.OS), "call %d: after a restart", n)
						} else if err != nil {
							assert.NilError(t, step(next, durable.OS), "call %d: after a restart", n)
						}
						assert.Equal(t, next.Exists(ctx, "top"), verb != "remove")
						assert.Equal(t, next.Exists(ctx, "old"), verb != "remove")
						if verb == "create and apply" {
							dir, err := next.Get(ctx, "top")
							assert.NilError(t, err)
							text, err := os.ReadFile(filepath.Join(dir, "two"))
							assert.NilError(t, err)
							assert.Equal(t, len(text), 3000)
							assert.NilError(t, next.Put(ctx, "top"))
						}
						if !failing.Failed() {
							assert.Assert(t, n > 1)
							return
						}
					}
				})
			}
		}
	}
}
