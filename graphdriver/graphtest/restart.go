package graphtest

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/jobengine/engine/graphdriver"
)

func restartRows() []Row {
	return []Row{
		{Name: "LayersOutliveProcess", Why: "everything is there after a restart",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) { e.write(dir, "g", "2") })
				e.must(e.d.Cleanup(), "Cleanup")
				e.reopen()
				e.shows("rw", "f = 1", "g = 2")
				if parent, err := e.d.Parent(e.ctx, "rw"); err != nil || parent != "base" {
					e.failf("after a restart Parent(rw) is %q, %v", parent, err)
				}
				e.changesAre("rw", "A /g")
				e.is(e.d.Create(e.ctx, "base", ""), graphdriver.ErrExists, "Create of a layer that a former process made")
			}},
		{Name: "MountsAreTakenOver", Why: "containers run on while the daemon is killed and started again",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				dir := e.get("rw")
				f, err := os.Create(filepath.Join(dir, "open"))
				e.must(err, "create")
				defer f.Close()
				e.reopen()
				if again := e.get("rw"); again != dir {
					e.failf("after a restart Get is %s, it was %s", again, dir)
				}
				_, err = f.WriteString("still")
				e.must(err, "write to a file that was opened before the restart")
				e.shows("rw", "f = 1", "open = still")
				e.put("rw")
				if left := mountsBelow(e.dir); len(left) > 0 {
					e.failf("the last Put leaves mounts: %v", left)
				}
			}},
		{Name: "MountsAreGivenBack", Why: "what a killed daemon left mounted for containers that ended can be unmounted",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("a", "base")
				e.createRW("b", "base")
				e.get("a")
				e.get("b")
				e.get("b")
				e.reopen()
				e.put("a")
				e.remove("b")
				if left := mountsBelow(e.dir); len(left) > 0 {
					e.failf("Put and Remove leave mounts of a former process: %v", left)
				}
			}},
		{Name: "UsedLayersOutliveCleanup", Why: "containers run on when the daemon is stopped and started again",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				dir := e.get("rw")
				f, err := os.Create(filepath.Join(dir, "open"))
				e.must(err, "create")
				defer f.Close()
				e.must(e.d.Cleanup(), "Cleanup")
				if _, err := os.Stat(filepath.Join(dir, "f")); err != nil {
					e.failf("Cleanup took the tree away from its user: %v", err)
				}
				e.reopen()
				if again := e.get("rw"); again != dir {
					e.failf("after a restart Get is %s, it was %s", again, dir)
				}
				_, err = f.WriteString("still")
				e.must(err, "write to a file that was opened before the restart")
				if data, err := os.ReadFile(filepath.Join(dir, "open")); err != nil || string(data) != "still" {
					e.failf("what a user of before wrote shows as %q, %v", data, err)
				}
				e.put("rw")
			}},
		{Name: "HalfFilledLayer", Why: "a layer that was being filled when the process died can be removed and made anew",
			check: func(e *env) {
				e.create("a", "")
				_, err := e.d.ApplyDiff(e.ctx, "a", errorReader{os.ErrClosed})
				e.is(err, os.ErrClosed, "ApplyDiff")
				e.reopen()
				e.remove("a")
				e.apply("a", "", file("f", "1"))
				e.shows("a", "f = 1")
			}},
		{Name: "SyncedLayer", Why: "an image is synced before anybody is told of it",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				e.must(graphdriver.Sync(e.ctx, e.d, "base"), "Sync of an image layer")
				e.must(graphdriver.Sync(e.ctx, e.d, "rw"), "Sync of a writable layer")
				if s, ok := e.d.(graphdriver.Syncer); ok {
					e.is(s.Sync(e.ctx, "absent"), graphdriver.ErrNotFound, "Sync of an absent layer")
				}
			}},
		{Name: "HomeHoldsNoMore", Why: "a removed layer leaves no byte behind",
			check: func(e *env) {
				before := listing(e.home, false)
				e.apply("base", "", folder("d"), file("d/f", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) { e.must(os.RemoveAll(filepath.Join(dir, "d")), "remove") })
				e.remove("rw")
				e.remove("base")
				if after := listing(e.home, false); !slices.Equal(after, before) {
					e.failf("the home holds %v, it held %v", after, before)
				}
			}},
		{Name: "StatusIsPairs", Why: "`info` shows what the driver says of itself",
			check: func(e *env) {
				for _, pair := range e.d.Status() {
					if pair[0] == "" {
						e.failf("Status has a pair without a name: %q", pair)
					}
				}
				e.createRW("rw", "")
				m, err := e.d.Metadata(e.ctx, "rw")
				e.must(err, "Metadata")
				if m == nil {
					e.failf("Metadata is nil, promised is a map, maybe empty")
				}
			}},
	}
}
