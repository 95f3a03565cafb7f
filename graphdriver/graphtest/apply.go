package graphtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
)

func applyRows() []Row {
	return []Row{
		{Name: "ApplyKeepsMetadata", Why: "an unpacked image is the image: modes, times, links and contents",
			check: func(e *env) {
				e.apply("base", "",
					folder("d").mode(0o700), file("d/f", "content").mode(0o640), symlink("d/s", "../nowhere"), hardlink("h", "d/f"),
					folder("late"))
				dir := e.get("base")
				defer e.put("base")
				var d, f, h unix.Stat_t
				e.must(unix.Lstat(filepath.Join(dir, "d"), &d), "stat d")
				e.must(unix.Lstat(filepath.Join(dir, "d/f"), &f), "stat d/f")
				e.must(unix.Lstat(filepath.Join(dir, "h"), &h), "stat h")
				if d.Mode&0o7777 != 0o700 || f.Mode&0o7777 != 0o640 {
					e.failf("modes are %o and %o, promised are 0700 and 0640", d.Mode&0o7777, f.Mode&0o7777)
				}
				if d.Mtim.Sec != then.Unix() || f.Mtim.Sec != then.Unix() {
					e.failf("times of folder and file are %d and %d, promised is %d for both", d.Mtim.Sec, f.Mtim.Sec, then.Unix())
				}
				if f.Ino != h.Ino {
					e.failf("a hard link became a file of its own")
				}
				if target, err := os.Readlink(filepath.Join(dir, "d/s")); err != nil || target != "../nowhere" {
					e.failf("the symbolic link leads to %q: %v", target, err)
				}
			}},
		{Name: "ApplySize", Why: "sizes that users see, and limits, are sums of these",
			check: func(e *env) {
				n := e.apply("base", "", file("a", "12345"), folder("d"), file("d/b", "123"), hardlink("c", "a"), symlink("s", "a/b"))
				if n != 11 {
					e.failf("ApplyDiff gives %d bytes, promised are 11", n)
				}
				size, err := e.d.DiffSize(e.ctx, "base")
				e.must(err, "DiffSize")
				if size != 11 {
					e.failf("DiffSize is %d, promised is 11", size)
				}
			}},
		{Name: "ApplyReadsToEnd", Why: "the caller computes the stream's digest beside it, padding included",
			check: func(e *env) {
				e.create("base", "")
				r := bytes.NewReader(append(tarBytes(file("f", "1")), make([]byte, 100_000)...))
				_, err := e.d.ApplyDiff(e.ctx, "base", r)
				e.must(err, "ApplyDiff of a padded archive")
				if r.Len() > 0 {
					e.failf("ApplyDiff leaves %d bytes unread", r.Len())
				}
			}},
		{Name: "WhiteoutHides", Why: "what an image's layer deleted does not come back",
			check: func(e *env) {
				e.apply("base", "", file("a", "1"), folder("d"), file("d/x", "1"), file("d/y", "1"), folder("gone"), file("gone/z", "1"))
				e.apply("next", "base", file(".wh.a", ""), file("d/.wh.x", ""), file(".wh.gone", ""))
				e.createRW("rw", "next")
				e.shows("next", "d/", "d/y = 1")
				e.shows("rw", "d/", "d/y = 1")
				e.shows("base", "a = 1", "d/", "d/x = 1", "d/y = 1", "gone/", "gone/z = 1")
			}},
		{Name: "WhiteoutOfOwnName", Why: "a whiteout speaks of the parents: what the same layer adds shows, whichever comes first",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/old", "1"), folder("e"), file("e/old", "1"), file("f", "1"))
				e.apply("next", "base", file(".wh.d", ""), folder("d"), file("d/new", "2"),
					folder("e"), file("e/new", "2"), file(".wh.e", ""), file("f", "2"), file(".wh.f", ""))
				e.shows("next", "d/", "d/new = 2", "e/", "e/new = 2", "f = 2")
			}},
		{Name: "OpaqueHides", Why: "a folder that was replaced does not show its predecessor's files",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/old", "1"), folder("d/sub"), file("d/sub/old", "1"))
				e.apply("next", "base", folder("d"), file("d/first", "2"), file("d/.wh..wh..opq", ""), file("d/new", "2"))
				e.shows("next", "d/", "d/first = 2", "d/new = 2")
			}},
		{Name: "AbsentWhiteout", Why: "a whiteout of nothing is nothing, and never a file",
			check: func(e *env) {
				e.apply("base", "", file("a", "1"))
				e.apply("next", "base", file(".wh.never", ""), file(".wh..wh.plnk", ""))
				e.shows("next", "a = 1")
			}},
		{Name: "Replace", Why: "layers turn files into folders and links, and back",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"), folder("d"), file("d/x", "1"), symlink("s", "d"))
				e.apply("next", "base", folder("f"), file("f/new", "2"), file("d", "2"), folder("s"), file("s/new", "2"))
				e.shows("next", "d = 2", "f/", "f/new = 2", "s/", "s/new = 2")
			}},
		{Name: "ImpliedFolders", Why: "some archives have no entries for folders",
			check: func(e *env) {
				e.apply("base", "", file("a/b/c", "1"))
				e.shows("base", "a/", "a/b/", "a/b/c = 1")
			}},
		{Name: "BreakoutIsRefused", Why: "an image must not write to the host",
			check: func(e *env) {
				e.write(e.dir, "canary", "alive")
				before := listing(e.dir, true)
				for i, bad := range []entry{file("../canary", "x"), file("a/../../../canary", "x"), hardlink("h", "../canary"), folder("..")} {
					id := string(rune('a' + i))
					e.create(id, "")
					_, err := e.d.ApplyDiff(e.ctx, id, tarOf(bad))
					e.is(err, graphdriver.ErrBreakout, "ApplyDiff with the entry "+bad.Name+" "+bad.Linkname)
					e.remove(id)
				}
				if after := listing(e.dir, true); canaryLine(after) != canaryLine(before) {
					e.failf("the file outside changed to %s", canaryLine(after))
				}
			}},
		{Name: "LinksStayInside", Why: "a link in an archive leads nowhere but into the layer",
			check: func(e *env) {
				outside := filepath.Join(e.dir, "outside")
				e.must(os.Mkdir(outside, 0o755), "mkdir")
				e.write(outside, "canary", "alive")
				e.create("a", "")
				_, _ = e.d.ApplyDiff(e.ctx, "a", tarOf( // an error is fine, too
					symlink("abs", outside), file("abs/pwned", "x"), symlink("up", "../../../../../../../../../../"+outside),
					file("up/pwned", "x"), hardlink("stolen", "abs/canary")))
				if have := strings.Join(listing(outside, false), " "); have != "canary = alive" {
					e.failf("the folder outside holds %s", have)
				}
			}},
		{Name: "TruncatedIsRefused", Why: "half an image must not look like one",
			check: func(e *env) {
				e.create("a", "")
				data := tarBytes(file("f", strings.Repeat("x", 5000)))
				_, err := e.d.ApplyDiff(e.ctx, "a", bytes.NewReader(data[:2000]))
				if err == nil {
					e.failf("ApplyDiff of half an archive succeeds")
				}
				e.create("b", "")
				if _, err := e.d.ApplyDiff(e.ctx, "b", strings.NewReader(strings.Repeat("not a tar ", 500))); err == nil {
					e.failf("ApplyDiff of what is no archive succeeds")
				}
				e.remove("a")
				e.remove("b")
			}},
		{Name: "ReadErrorIsTold", Why: "callers tell a failing source from a bad archive",
			check: func(e *env) {
				e.create("a", "")
				broken := errors.New("the source failed")
				_, err := e.d.ApplyDiff(e.ctx, "a", io.MultiReader(bytes.NewReader(tarBytes(file("f", "1"))[:700]), errorReader{broken}))
				e.is(err, broken, "ApplyDiff from a failing source")
			}},
		{Name: "ApplyStops", Why: "a cancelled pull ends now",
			check: func(e *env) {
				ctx, cancel := context.WithCancel(e.ctx)
				e.create("a", "")
				cancel()
				_, err := e.d.ApplyDiff(ctx, "a", tarOf(file("f", "1")))
				e.is(err, context.Canceled, "ApplyDiff with a cancelled context")
			}},
		{Name: "DriverAttributesAreDropped", NeedsRoot: true, Why: "an image must not steer the driver, nor the host's own attributes",
			check: func(e *env) {
				e.apply("base", "", folder("d"), file("d/x", "1"))
				n := folder("d").xattr("trusted.overlay.opaque", "y")
				n.PAXRecords["SCHILY.xattr.trusted.test"] = "y"
				n.PAXRecords["SCHILY.xattr.trusted.overlay.redirect"] = "/"
				e.apply("next", "base", n)
				e.shows("next", "d/", "d/x = 1")
				dir := e.get("next")
				defer e.put("next")
				if n, err := unix.Lgetxattr(filepath.Join(dir, "d"), "trusted.test", make([]byte, 10)); err == nil && n > 0 {
					e.failf("an attribute trusted.* of the archive was set")
				}
			}},
		{Name: "IndependentLayers", Why: "a driver that declares independent layers can fill those of one image side by side",
			check: func(e *env) {
				if !graphdriver.CapabilitiesOf(e.d).IndependentLayers {
					return
				}
				e.create("one", "")
				e.create("two", "one")
				e.create("three", "two")
				var wg sync.WaitGroup
				errs := make([]error, 3)
				for i, id := range []string{"three", "two", "one"} {
					content := map[string][]entry{
						"one":   {folder("d"), file("d/one", "1"), file("a", "1"), folder(".").mode(0o711)},
						"two":   {file(".wh.a", ""), file("d/two", "2")},
						"three": {folder("d"), file("d/.wh.one", ""), file("c", "3")},
					}[id]
					wg.Go(func() { _, errs[i] = e.d.ApplyDiff(e.ctx, id, tarOf(content...)) })
				}
				wg.Wait()
				e.must(errors.Join(errs...), "ApplyDiff side by side")
				e.createRW("rw", "three")
				e.shows("rw", "c = 3", "d/", "d/two = 2")
				for _, id := range []string{"rw", "three"} {
					st, err := os.Stat(e.get(id))
					e.must(err, "stat the root of %s", id)
					e.put(id)
					if st.Mode().Perm() != 0o711 {
						e.failf("the root of %s has mode %o, promised is that of the lowest layer, 0711", id, st.Mode().Perm())
					}
				}
			}},
	}
}

func canaryLine(lines []string) string {
	for _, l := range lines {
		if strings.HasPrefix(l, "canary") {
			return l
		}
	}
	return "nothing"
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
