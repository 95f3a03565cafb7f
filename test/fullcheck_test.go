//go:build system

package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// A byte of one file of one layer has another value, as after a fault of the disk:
// size, times and records are as they were.
func TestAFullCheckFindsOneFlippedByte(t *testing.T) {
	for _, driver := range []string{"overlay2", "vfs"} {
		t.Run(driver, func(t *testing.T) {
			e := startLoaded(t, "--storage-driver", driver)
			shared := content{"base": bulk("base", 300_000)}
			for _, tag := range []string{"one:latest", "two:latest"} {
				archive := harness.ImageArchive(tag, [][]byte{shared.tar(), content{"file": tag}.tar()}, nil)
				code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(archive)))
				assert.NilError(t, err)
				assert.Equal(t, code, 200, text)
			}
			const nothing = "Nothing is damaged, and nothing is there that nobody owns."
			assert.Equal(t, e.must("system", "check", "--full"), nothing)

			var flipped string
			for _, path := range filesNamed(t, filepath.Join(e.DataRoot, driver), "base") {
				if flipped == "" {
					flipped = filepath.Dir(filepath.Dir(path))
				}
				if driver == "vfs" || flipped == filepath.Dir(filepath.Dir(path)) {
					flip(t, path)
				}
			}
			assert.Assert(t, flipped != "")
			assert.Equal(t, e.must("system", "check"), nothing) // it does not read the files
			for _, args := range [][]string{{"--full"}, {"--full", "--repair"}} {
				res := e.any(append([]string{"system", "check", "--format", "json"}, args...)...)
				assert.Equal(t, res.Code, 1, "%s", res)
				var found []struct {
					Kind, Object, Problem, Action string
					Repaired                      bool
				}
				assert.NilError(t, json.Unmarshal([]byte(res.Stdout), &found))
				assert.Equal(t, len(found), 2, "%s", res) // both images have the layer, busybox has not
				for _, f := range found {
					assert.Equal(t, f.Kind, "image")
					assert.Assert(t, strings.Contains(f.Problem, "its files are not what they were") && strings.Contains(f.Action, "engine rmi -f"), "%+v", f)
					assert.Assert(t, !f.Repaired)
				}
			}
			// What it says helps.
			e.must("rmi", "-f", "one", "two")
			archive := harness.ImageArchive("one:latest", [][]byte{shared.tar()}, nil)
			code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(archive)))
			assert.NilError(t, err)
			assert.Equal(t, code, 200, text)
			assert.Equal(t, e.must("system", "check", "--full"), nothing)
		})
	}
}

func filesNamed(t *testing.T, root, name string) (paths []string) {
	t.Helper()
	assert.NilError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == name && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func flip(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	assert.NilError(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	assert.NilError(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], info.Size()/2)
	assert.NilError(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], info.Size()/2)
	assert.NilError(t, err)
	assert.NilError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}
