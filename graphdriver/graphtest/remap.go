package graphtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
)

// remapRows are the promises of graphdriver.Remapper. Drivers without it, and
// hosts that cannot do it, pass them over.
func remapRows() []Row {
	row := func(name, why string, check func(*env, graphdriver.Remapper)) Row {
		return Row{Name: "Remap" + name, Why: why, NeedsRoot: true, check: func(e *env) {
			if r := e.remapper(); r != nil {
				check(e, r)
			}
		}}
	}
	return []Row{
		row("ShowsOtherOwners", "the root of a user namespace must own the image's files, and nobody else's", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			dir := e.getRemapped(r, "a")
			e.owner(dir, "", someMap.UIDs[0].Host, someMap.GIDs[0].Host)
			e.owner(dir, "f", 100000, 200000)
			e.owner(dir, "mine", 101000, 201001)
			e.must(r.PutRemapped(e.ctx, "a", dir), "PutRemapped")
		}),
		row("KeepsIDsOnDisk", "commit, export and containers without a user namespace want the image's ids", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			dir := e.getRemapped(r, "a")
			e.must(someMap.AsRoot(func() error {
				return errors.Join(os.WriteFile(filepath.Join(dir, "new"), []byte("1"), 0o644), os.Chown(filepath.Join(dir, "new"), 100007, 200008),
					os.Mkdir(filepath.Join(dir, "folder"), 0o755), os.WriteFile(filepath.Join(dir, "f"), []byte("changed"), 0o644),
					os.Remove(filepath.Join(dir, "gone")), os.Rename(filepath.Join(dir, "mine"), filepath.Join(dir, "moved")))
			}), "work in the remapped tree as its root")
			e.must(r.PutRemapped(e.ctx, "a", dir), "PutRemapped")
			plain := e.get("a")
			e.owner(plain, "", 0, 0)
			e.owner(plain, "new", 7, 8)
			e.owner(plain, "folder", 0, 0)
			e.owner(plain, "f", 0, 0)
			e.owner(plain, "moved", 1000, 1001)
			e.put("a")
			e.shows("a", "f = changed", "folder/", "moved = m", "new = 1")
			changes, err := e.d.Changes(e.ctx, "a")
			e.must(err, "Changes")
			var lines []string
			for _, c := range changes {
				lines = append(lines, kindName(c.Kind)+" "+c.Path)
			}
			want := []string{"C /f", "A /folder", "D /gone", "D /mine", "A /moved", "A /new"}
			if !slices.Equal(lines, want) {
				e.failf("changes of a layer that was remapped are %v, promised are %v", lines, want)
			}
		}),
		row("SharesLayers", "one image serves containers with and without a user namespace at the same time", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			e.createRW("b", "base")
			plain := e.get("b")
			dir := e.getRemapped(r, "a")
			e.owner(dir, "f", 100000, 200000)
			e.owner(plain, "f", 0, 0)
			e.put("b")
			e.must(r.PutRemapped(e.ctx, "a", dir), "PutRemapped")
		}),
		row("KeepsOthersOut", "an id outside of the map would be one of the host's on the disk", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			dir := e.getRemapped(r, "a")
			if err := os.WriteFile(filepath.Join(dir, "hosts"), nil, 0o644); err == nil {
				e.failf("the host's root, who is not in the map, can make a file")
			}
			if err := os.Chown(filepath.Join(dir, "f"), 5, 5); err == nil {
				e.failf("a file can be given to an id that is not in the map")
			}
			e.must(r.PutRemapped(e.ctx, "a", dir), "PutRemapped")
		}),
		row("GetReadsMeanwhile", "export of a running container wants the image's ids", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			dir := e.getRemapped(r, "a")
			e.must(someMap.AsRoot(func() error { return os.WriteFile(filepath.Join(dir, "new"), []byte("1"), 0o644) }), "write")
			e.shows("a", "f = 1", "gone = 2", "mine = m", "new = 1")
			plain := e.get("a")
			e.owner(plain, "new", 0, 0)
			e.put("a")
			e.must(r.PutRemapped(e.ctx, "a", dir), "PutRemapped")
			// And afterwards it can be written again.
			e.change("a", func(dir string) { e.write(dir, "later", "2") })
		}),
		row("IsTakenOver", "a restarted daemon finds its containers' trees and must not mount them again", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			dir := e.getRemapped(r, "a")
			e.reopen()
			again, ok := e.d.(graphdriver.Remapper)
			if !ok {
				e.failf("the driver has lost its ability")
			}
			before := len(mountsBelow(e.dir))
			e.must(again.GetRemapped(e.ctx, "a", dir, graphdriver.IDMap{}), "GetRemapped of what a former process left")
			if now := len(mountsBelow(e.dir)); now != before {
				e.failf("it was mounted again: %d mounts, were %d", now, before)
			}
			e.must(again.PutRemapped(e.ctx, "a", dir), "PutRemapped")
			if left := mountsBelow(e.dir); len(left) > 0 {
				e.failf("PutRemapped leaves %v", left)
			}
			e.must(again.PutRemapped(e.ctx, "a", dir), "PutRemapped without a GetRemapped")
			e.must(again.PutRemapped(e.ctx, "absent", dir), "PutRemapped of an absent layer")
		}),
		row("RemovedInUse", "the layer of a container that died badly can be removed all the same", func(e *env, r graphdriver.Remapper) {
			e.remapBase()
			dir := e.getRemapped(r, "a")
			e.must(r.PutRemapped(e.ctx, "a", dir), "PutRemapped")
			e.remove("a")
			e.is(r.GetRemapped(e.ctx, "a", dir, someMap), graphdriver.ErrNotFound, "GetRemapped of a removed layer")
			if left := mountsBelow(e.dir); len(left) > 0 {
				e.failf("a GetRemapped that failed leaves %v", left)
			}
		}),
	}
}

var someMap = graphdriver.IDMap{
	UIDs: []graphdriver.IDRange{{Container: 0, Host: 100000, Size: 65536}},
	GIDs: []graphdriver.IDRange{{Container: 0, Host: 200000, Size: 65536}},
}

// remapper gives the driver's ability, nil if it has none here.
func (e *env) remapper() graphdriver.Remapper {
	r, err := graphdriver.RemapperOf(e.d, someMap)
	if errors.Is(err, graphdriver.ErrNoRemap) {
		return nil
	}
	e.must(err, "CanRemap")
	if left := mountsBelow(e.dir); len(left) > 0 {
		e.failf("CanRemap leaves %v", left)
	}
	return r
}

// remapBase makes an image with files of several owners and a container's layer "a" on it.
func (e *env) remapBase() {
	e.apply("lower", "", file("gone", "2"))
	e.apply("base", "lower", file("f", "1"), file("mine", "m").owner(1000, 1001))
	e.createRW("a", "base")
}

func (e *env) getRemapped(r graphdriver.Remapper, id string) string {
	dir := filepath.Join(e.dir, "remapped-"+id)
	e.must(os.Mkdir(dir, 0o700), "mkdir")
	e.must(r.GetRemapped(e.ctx, id, dir, someMap), "GetRemapped(%s)", id)
	return dir
}

func (e *env) owner(dir, name string, uid, gid uint32) {
	var st unix.Stat_t
	e.must(unix.Lstat(filepath.Join(dir, name), &st), "stat %q", name)
	if st.Uid != uid || st.Gid != gid {
		e.failf("%s belongs to %s, promised is %d:%d", strings.TrimPrefix("/"+name, "//"), fmt.Sprintf("%d:%d", st.Uid, st.Gid), uid, gid)
	}
}
