package graphtest

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
)

func diffRows() []Row {
	return []Row{
		{Name: "Changes", Why: "`docker diff` shows what a container added, changed and deleted, sorted",
			check: func(e *env) {
				e.makeChanges()
				e.changesAre("rw", "C /d", "D /d/gone", "A /d/new", "A /dir", "A /dir/in", "C /f", "D /gone",
					"C /keep", "C /keep/mode", "C /turned", "A /turned/x")
			}},
		{Name: "NoChanges", Why: "reading changes nothing",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/f", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) { _ = listing(dir, true) })
				e.changesAre("rw")
				size, err := e.d.DiffSize(e.ctx, "rw")
				e.must(err, "DiffSize")
				if size != 0 {
					e.failf("DiffSize of an unchanged layer is %d", size)
				}
			}},
		{Name: "UnchangedFiles", Why: "`docker diff` is about changes: opening, linking or touching up a file is none",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/f", "1"), file("d/g", "1"), symlink("s", "d"), file("h", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) {
					e.must(os.Chmod(filepath.Join(dir, "d/f"), 0o644), "chmod to the same mode")
					f, err := os.OpenFile(filepath.Join(dir, "d/g"), os.O_RDWR, 0)
					e.must(err, "open for writing")
					f.Close()
					e.must(os.Link(filepath.Join(dir, "h"), filepath.Join(dir, "new")), "link")
					e.must(os.Remove(filepath.Join(dir, "s")), "remove")
					e.must(os.Symlink("h", filepath.Join(dir, "s")), "symlink")
				})
				e.changesAre("rw", "A /new", "C /s")
			}},
		{Name: "ReplacedFolder", Why: "a folder that was removed and made again hides what was in it, also in the committed image",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/old", "1"), folder("d/sub"), file("d/sub/old", "1"), file("d/both", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) {
					d := filepath.Join(dir, "d")
					e.must(os.RemoveAll(d), "remove")
					e.must(os.Mkdir(d, 0o755), "mkdir")
					e.write(d, "new", "2")
					e.write(d, "both", "22")
				})
				e.changesAre("rw", "C /d", "C /d/both", "A /d/new", "D /d/old", "D /d/sub")
				e.roundTrip("rw", "base")
			}},
		{Name: "DiffRoundTrip", Why: "commit and run give the same tree",
			check: func(e *env) {
				e.makeChanges()
				e.roundTrip("rw", "base")
			}},
		{Name: "DiffOfImageLayer", Why: "`save` writes layers that were once unpacked",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/x", "1"), file("d/y", "1"), file("a", "1"))
				e.apply("next", "base", file("d/.wh.x", ""), file(".wh.a", ""), folder("n"), file("n/f", "2"), hardlink("n/h", "n/f"), symlink("s", "/n/f"))
				e.changesAre("next", "D /a", "C /d", "D /d/x", "A /n", "A /n/f", "A /n/h", "A /s")
				e.roundTrip("next", "base")
				e.roundTrip("base", "")
			}},
		{Name: "DiffOfRootAttributes", Why: "a container may change its root folder",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) { e.must(os.Chmod(dir, 0o711), "chmod the root") })
				e.changesAre("rw")
				e.roundTrip("rw", "base")
			}},
		{Name: "DiffOrder", Why: "whoever unpacks the stream needs folders before what is in them, and clean relative names",
			check: func(e *env) {
				e.makeChanges()
				seen := map[string]bool{}
				for _, h := range e.diffHeaders("rw") {
					name := strings.TrimSuffix(h.Name, "/")
					if name != filepath.Clean(name) || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") {
						e.failf("an entry is named %q", h.Name)
					}
					if dir := filepath.Dir(name); dir != "." && !seen[dir] {
						e.failf("the entry %s comes before its folder", name)
					}
					if seen[name] {
						e.failf("the entry %s comes twice", name)
					}
					seen[name] = true
				}
			}},
		{Name: "SocketsAreLeftOut", Why: "a tar cannot hold sockets, and a container that has one can be committed",
			check: func(e *env) {
				e.createRW("rw", "")
				e.change("rw", func(dir string) {
					fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
					e.must(err, "socket")
					defer unix.Close(fd)
					e.must(os.Chdir(dir), "chdir")
					defer os.Chdir("/")
					e.must(unix.Bind(fd, &unix.SockaddrUnix{Name: "sock"}), "bind")
				})
				if h := e.diffHeaders("rw"); len(h) > 0 {
					e.failf("Diff holds %s", h[0].Name)
				}
			}},
		{Name: "DiffInUse", Why: "a running container can be committed",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				dir := e.get("rw")
				e.write(dir, "new", "2")
				e.changesAre("rw", "A /new")
				if h := e.diffHeaders("rw"); len(h) != 1 || h[0].Name != "new" {
					e.failf("Diff of a layer in use holds %d entries", len(h))
				}
				if _, err := os.Stat(filepath.Join(dir, "new")); err != nil {
					e.failf("Diff took the tree away from its user: %v", err)
				}
				e.put("rw")
			}},
		{Name: "DiffGivenUp", Why: "a client that goes away leaves nothing held",
			check: func(e *env) {
				e.createRW("rw", "")
				e.change("rw", func(dir string) { e.write(dir, "big", strings.Repeat("x", 3<<20)) })
				r, err := e.d.Diff(e.ctx, "rw")
				e.must(err, "Diff")
				_, err = io.ReadFull(r, make([]byte, 1000))
				e.must(err, "read")
				e.must(r.Close(), "Close")
				ctx, cancel := context.WithCancel(e.ctx)
				r, err = e.d.Diff(ctx, "rw")
				e.must(err, "Diff")
				cancel()
				if _, err := io.Copy(io.Discard, r); err == nil {
					e.failf("a cancelled Diff of 3 MiB ends as if it were whole")
				}
				e.must(r.Close(), "Close")
				e.remove("rw")
			}},
		{Name: "DiffSize", Why: "`docker ps -s` shows what a container added",
			check: func(e *env) {
				e.apply("base", "", file("f", "123456789"), file("g", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) {
					e.write(dir, "new", "12345")
					e.must(os.Link(filepath.Join(dir, "new"), filepath.Join(dir, "link")), "link")
					e.must(os.Remove(filepath.Join(dir, "g")), "remove")
					e.must(os.Symlink("123", filepath.Join(dir, "s")), "symlink")
				})
				size, err := e.d.DiffSize(e.ctx, "rw")
				e.must(err, "DiffSize")
				if size != 8 {
					e.failf("DiffSize is %d, promised is 8", size)
				}
			}},
		{Name: "DiffOfAttributes", NeedsRoot: true, Why: "commit keeps owners, set-id bits, attributes and device nodes",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("rw", "base")
				e.change("rw", func(dir string) {
					p := filepath.Join(dir, "new")
					e.write(dir, "new", "2")
					e.must(os.Chown(p, 1234, 4_000_000_000), "chown")
					e.must(os.Chmod(p, 0o755|os.ModeSetuid), "chmod")
					if err := unix.Setxattr(p, "user.test", []byte("value"), 0); err != nil && err != unix.ENOTSUP {
						e.must(err, "set user.test")
					}
					capability := []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
					e.must(unix.Setxattr(p, "security.capability", capability, 0), "set security.capability")
					e.must(unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), "mknod")
					e.must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644), "mkfifo")
				})
				e.roundTrip("rw", "base")
			}},
	}
}

// makeChanges makes the layers base and rw, with changes of every kind.
func (e *env) makeChanges() {
	e.apply("base", "", file("f", "1"), file("gone", "1"), folder("d"), file("d/gone", "1"), file("d/stays", "1"),
		folder("keep"), file("keep/mode", "1"), file("keep/same", "1"), file("turned", "1"))
	e.createRW("rw", "base")
	e.change("rw", func(dir string) {
		at := func(name string) string { return filepath.Join(dir, name) }
		e.write(dir, "f", "changed")
		e.must(os.Remove(at("gone")), "remove")
		e.must(os.Remove(at("d/gone")), "remove")
		e.write(dir, "d/new", "2")
		e.must(os.Chmod(at("keep/mode"), 0o600), "chmod")
		e.must(os.Mkdir(at("dir"), 0o750), "mkdir")
		e.must(os.Link(at("f"), at("dir/in")), "link")
		e.must(os.Remove(at("turned")), "remove")
		e.must(os.Mkdir(at("turned"), 0o755), "mkdir")
		e.must(os.Symlink("/nowhere", at("turned/x")), "symlink")
	})
}

func (e *env) changesAre(id string, want ...string) {
	changes, err := e.d.Changes(e.ctx, id)
	e.must(err, "Changes(%s)", id)
	var have []string
	for _, c := range changes {
		if c.Kind < graphdriver.Modified || c.Kind > graphdriver.Deleted {
			e.failf("the change of %s is of kind %d", c.Path, c.Kind)
		}
		have = append(have, kindName(c.Kind)+" "+c.Path)
	}
	if !slices.Equal(have, want) {
		e.failf("Changes are\n\t%s\npromised are\n\t%s", strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (e *env) diffHeaders(id string) []*tar.Header {
	r, err := e.d.Diff(e.ctx, id)
	e.must(err, "Diff(%s)", id)
	defer r.Close()
	var list []*tar.Header
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return list
		}
		e.must(err, "read the diff of %s", id)
		list = append(list, h)
	}
}

// roundTrip applies a layer's diff to a new layer above the same parent, which
// must show the same tree.
func (e *env) roundTrip(id, parent string) {
	copied := id + "-copy"
	e.create(copied, parent)
	r, err := e.d.Diff(e.ctx, id)
	e.must(err, "Diff(%s)", id)
	_, err = e.d.ApplyDiff(e.ctx, copied, r)
	e.must(err, "ApplyDiff of the diff of %s", id)
	e.must(r.Close(), "Close of the diff of %s", id)
	want, have := e.details(id), e.details(copied)
	if !slices.Equal(have, want) {
		e.failf("the tree made of %s's diff is\n\t%s\npromised is\n\t%s", id, strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (e *env) details(id string) []string {
	dir := e.get(id)
	defer e.put(id)
	return listing(dir, true)
}
