package graphtest

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func treeRows() []Row {
	return []Row{
		{Name: "ParentsShow", Why: "a layer shows its own files above all its parents' files",
			check: func(e *env) {
				e.apply("one", "", file("a", "1"), file("b", "1"), folder("d"), file("d/x", "1"))
				e.apply("two", "one", file("b", "2"), file("d/y", "2"))
				e.createRW("rw", "two")
				want := []string{"a = 1", "b = 2", "d/", "d/x = 1", "d/y = 2"}
				e.shows("two", want...)
				e.shows("rw", want...)
				e.shows("one", "a = 1", "b = 1", "d/", "d/x = 1")
			}},
		{Name: "WritesStay", Why: "what a container wrote is there when it is started again",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"), folder("d"), file("d/x", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) {
					e.write(dir, "f", "changed")
					e.write(dir, "new", "2")
					e.must(os.RemoveAll(filepath.Join(dir, "d")), "remove a folder")
				})
				e.shows("rw", "f = changed", "new = 2")
			}},
		{Name: "WritesArePrivate", Why: "a container must not change its image or another container",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"), folder("d"), file("d/x", "1"))
				e.createRW("a", "base")
				e.createRW("b", "base")
				e.change("a", func(dir string) {
					e.write(dir, "f", "changed")
					e.write(dir, "d/x", "changed")
					e.must(os.Chmod(filepath.Join(dir, "d"), 0o700), "chmod")
				})
				e.shows("b", "d/", "d/x = 1", "f = 1")
				e.shows("base", "d/", "d/x = 1", "f = 1")
			}},
		{Name: "WritableParent", Why: "the init layer between image and container is filled by hand, as a writable layer",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"), file("g", "1"))
				e.createRW("init", "base")
				e.change("init", func(dir string) {
					e.write(dir, "hosts", "")
					e.must(os.Remove(filepath.Join(dir, "g")), "remove")
				})
				e.createRW("rw", "init")
				e.shows("rw", "f = 1", "hosts = ")
				changes, err := e.d.Changes(e.ctx, "rw")
				e.must(err, "Changes")
				if len(changes) > 0 {
					e.failf("an unchanged container has changes against its init layer: %v", changes)
				}
			}},
		{Name: "RootAttributes", Why: "an image says what mode its root folder has, and every container shows it",
			check: func(e *env) {
				e.apply("base", "", folder(".").mode(0o750), file("f", "1"))
				e.apply("next", "base", file("g", "1"))
				e.createRW("rw", "next")
				dir := e.get("rw")
				st, err := os.Stat(dir)
				e.must(err, "stat the root")
				e.put("rw")
				if st.Mode().Perm() != 0o750 {
					e.failf("the root has mode %o, promised is 0750", st.Mode().Perm())
				}
			}},
		{Name: "PlainRoot", Why: "without a word from the image the root is a folder that everybody may read",
			check: func(e *env) {
				e.createRW("rw", "")
				st, err := os.Stat(e.get("rw"))
				e.must(err, "stat the root")
				e.put("rw")
				if st.Mode().Perm() != 0o755 {
					e.failf("the root has mode %o, promised is 0755", st.Mode().Perm())
				}
			}},
		{Name: "ManyLayers", Why: "images have up to 127 layers",
			check: func(e *env) {
				parent := ""
				for i := range 127 {
					id := fmt.Sprintf("%064x", i+1) // as long as usual
					e.apply(id, parent, file("last", fmt.Sprint(i)))
					parent = id
				}
				e.createRW("rw", parent)
				e.change("rw", func(dir string) { e.write(dir, "rw", "") })
				e.shows("rw", "last = 126", "rw = ")
			}},
		{Name: "OwnersAndDevices", NeedsRoot: true, Why: "images depend on owners, set-id bits and device nodes",
			check: func(e *env) {
				fifo := entry{}
				fifo.Typeflag, fifo.Name, fifo.Mode = '6', "fifo", 0o620
				null := entry{}
				null.Typeflag, null.Name, null.Mode, null.Devmajor, null.Devminor = '3', "null", 0o666, 1, 3
				e.apply("base", "", folder("d").owner(7, 8).mode(0o1777), file("d/su", "x").owner(9, 10).mode(0o4755), fifo, null)
				e.createRW("rw", "base")
				dir := e.get("rw")
				defer e.put("rw")
				for name, want := range map[string][3]uint32{
					"d": {unix.S_IFDIR | 0o1777, 7, 8}, "d/su": {unix.S_IFREG | 0o4755, 9, 10},
					"fifo": {unix.S_IFIFO | 0o620, 0, 0}, "null": {unix.S_IFCHR | 0o666, 0, 0},
				} {
					var st unix.Stat_t
					e.must(unix.Lstat(filepath.Join(dir, name), &st), "stat %s", name)
					if have := [3]uint32{st.Mode, st.Uid, st.Gid}; have != want {
						e.failf("%s has mode and owner %o, promised is %o", name, have, want)
					}
				}
			}},
	}
}
