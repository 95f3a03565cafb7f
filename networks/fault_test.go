package networks_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/networks"
)

// Every call on the file system fails once, or it and all later ones, while a network
// is made and while one is removed. It is there or it is not, for the daemon that lives on and
// for the next one; nothing is left on the disk; and the same can be done again.
func TestEveryCallOfTheFileSystemMayFail(t *testing.T) {
	create := func(w *world) error {
		_, err := jobs.NetworkCreate.Run(t.Context(), w.eng, jobs.NetworkCreateIn{CreateRequest: network.CreateRequest{Name: "web"}})
		return err
	}
	remove := func(w *world) error {
		_, err := jobs.NetworkRemove.Run(t.Context(), w.eng, jobs.NetworkRemoveIn{Network: "web"})
		return err
	}
	has := func(w *world) bool { return w.ID("web") != "" }
	for name, verb := range map[string]struct {
		do, undo func(w *world) error
		then     bool
	}{
		"create": {create, remove, true},
		"remove": {remove, create, false},
	} {
		for _, way := range []string{"dies", "fails once"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				for n := 1; ; n++ {
					assert.Assert(t, n < 200, "no end of calls")
					dir := t.TempDir()
					fsys := &later{FS: durable.OS}
					w := open(t, dir, func(c *networks.Config) { c.FS = fsys })
					if !verb.then {
						assert.NilError(t, create(w))
					}
					failing := durable.FailFrom(durable.OS, n, syscall.EIO)
					if way == "fails once" {
						failing = durable.FailOnce(durable.OS, n, syscall.EIO)
					}
					fsys.FS = failing
					err := verb.do(w)
					fsys.FS = durable.OS
					assert.Assert(t, err == nil || errors.Is(err, syscall.EIO), "call %d: %v", n, err)
					if way == "fails once" && err != nil {
						assert.Equal(t, has(w), !verb.then, "call %d: half of it is listed", n)
						assert.Equal(t, len(w.bridge.made) == 1, has(w), "call %d: the driver has something else", n)
						err = verb.do(w)
						assert.NilError(t, err, "call %d: again", n)
					}
					next := open(t, dir)
					if err == nil {
						assert.Equal(t, has(next), verb.then, "call %d", n)
					}
					checkRecords(t, dir, has(next))
					if has(next) != verb.then {
						assert.NilError(t, verb.do(next), "call %d: after a restart", n)
					}
					assert.NilError(t, verb.undo(next), "call %d", n)
					checkRecords(t, dir, has(next))
					if !failing.Failed() {
						assert.Assert(t, n > 1)
						return
					}
				}
			})
		}
	}
}

// later is a file system that is exchanged while it is used.
type later struct{ durable.FS }

// checkRecords counts what is on the disk of networks that users make.
func checkRecords(t *testing.T, dir string, one bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "networks"))
	if !errors.Is(err, os.ErrNotExist) {
		assert.NilError(t, err)
	}
	records := 0
	for _, e := range entries {
		assert.Assert(t, !durable.IsLeftover(e.Name()), e.Name())
		records++
	}
	want := 0
	if one {
		want = 1
	}
	assert.Equal(t, records, want, "%v", entries)
}
