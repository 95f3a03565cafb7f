package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// hostile are archives that try to reach out of their root. OUT stands for an
// absolute path outside of it, UP for a relative one from the root.
var hostile = []struct {
	name    string
	items   []item
	refused error    // the class of the error that is demanded, nil: it may go either way
	tree    []string // what the root holds afterwards, nil: no matter
}{
	{name: "absolute name is relative to the root", items: []item{reg("/etc/passwd", "x")}, tree: []string{"etc/", "etc/passwd = x"}},
	{name: "several leading slashes", items: []item{reg("///f", "x")}, tree: []string{"f = x"}},
	{name: "dotdot", items: []item{reg("../canary/secret", "x")}, refused: ErrBreakout, tree: []string{}},
	{name: "dotdot behind a slash", items: []item{reg("/../canary/secret", "x")}, refused: ErrBreakout},
	{name: "dotdot in the middle", items: []item{reg("a/b/../../../canary/secret", "x")}, refused: ErrBreakout},
	{name: "dotdot that stays inside", items: []item{reg("a/../b", "x")}, tree: []string{"b = x"}},
	{name: "dotdot as a folder", items: []item{fold("..").mode(0o777)}, refused: ErrBreakout},
	{name: "dotdot as a link", items: []item{sym("..", "/tmp")}, refused: ErrBreakout},
	{name: "name of a folder that is dotdot after dots", items: []item{fold("./../").mode(0o777)}, refused: ErrBreakout},

	{name: "file through an absolute link", items: []item{sym("ln", "OUT"), reg("ln/secret", "x")}},
	{name: "file through a relative link", items: []item{sym("ln", "UP"), reg("ln/secret", "x")}},
	{name: "file through a chain of links", items: []item{sym("a", ".."), sym("b", "a/.."), sym("c", "b/UP"), reg("c/secret", "x")}},
	{name: "file through a link to the root of roots", items: []item{sym("ln", "/"), reg("ln/OUT/secret", "x")}},
	{name: "folder through a link", items: []item{sym("ln", "OUT"), fold("ln/sub").mode(0o777), fold("ln/new")}},
	{name: "folder over a link", items: []item{sym("ln", "OUT"), fold("ln").mode(0o777), reg("ln/secret", "x")}, tree: []string{"ln/", "ln/secret = x"}},
	{name: "file over a link", items: []item{sym("ln", "OUT/secret"), reg("ln", "x")}, tree: []string{"ln = x"}},
	{name: "fifo over a link", items: []item{sym("ln", "OUT/secret"), dev("ln", tar.TypeFifo, 0, 0)}},
	{name: "link through a link", items: []item{sym("ln", "OUT"), sym("ln/planted", "/")}},
	{name: "link to itself", items: []item{sym("ln", "ln"), reg("ln/f", "x")}, refused: unix.ELOOP},
	{name: "links to one another", items: []item{sym("a", "b/x"), sym("b", "a/x"), reg("a/f", "x")}, refused: unix.ELOOP},
	{name: "link that becomes a folder's parent in the middle", items: []item{
		fold("a"), reg("a/f", "1"), sym("a", "OUT"), reg("a/secret", "x")}},
	{name: "folder that becomes a link under a cached descriptor", items: []item{
		fold("a"), fold("a/b"), reg("a/b/f", "1"), sym("a", "OUT/sub/.."), reg("a/b/secret", "x"), reg("a/secret", "x")}},
	{name: "dotdot after a folder became a link", items: []item{fold("a"), sym("a", "OUT/sub"), reg("a/../secret", "x")}, tree: []string{"a -> OUT/sub", "secret = x"}},
	{name: "proc magic link", items: []item{sym("ln", "/proc/self/root"), reg("ln/OUT/secret", "x")}},
	{name: "proc magic link relative", items: []item{sym("ln", "UP/../../../../../../proc/self/cwd"), reg("ln/planted", "x")}},

	{name: "hard link to dotdot", items: []item{lnk("h", "../canary/secret")}, refused: ErrBreakout},
	{name: "hard link to an absolute name outside", items: []item{lnk("h", "OUT/secret")}, refused: errdefs.ErrInvalidArgument},
	{name: "hard link through a link", items: []item{sym("ln", "OUT"), lnk("h", "ln/secret")}, refused: errdefs.ErrInvalidArgument},
	{name: "hard link to a link, then written", items: []item{sym("ln", "OUT/secret"), lnk("h", "ln"), reg("h", "x")}, tree: []string{"h = x", "ln -> OUT/secret"}},
	{name: "hard link placed through a link", items: []item{reg("f", "1"), sym("ln", "OUT"), lnk("ln/planted", "f")}},
	{name: "hard link to a name that becomes a link later", items: []item{
		reg("a", "1"), lnk("h", "a"), sym("a", "OUT/secret"), reg("h", "x"), reg("a", "x")}, tree: []string{"a = x", "h = x"}},
	{name: "hard link to a folder", items: []item{fold("d"), lnk("h", "d")}, refused: errdefs.ErrInvalidArgument},
	{name: "hard link to the root", items: []item{lnk("h", "/")}, refused: errdefs.ErrInvalidArgument},
	{name: "hard link to nothing", items: []item{lnk("h", "absent")}, refused: errdefs.ErrInvalidArgument},
	{name: "hard link to itself", items: []item{reg("f", "1"), lnk("f", "f")}, tree: []string{"f = 1"}},

	{name: "root becomes a link", items: []item{sym(".", "OUT")}, refused: errdefs.ErrInvalidArgument},
	{name: "root becomes a link with a slash", items: []item{sym("./", "OUT")}, refused: errdefs.ErrInvalidArgument},
	{name: "root becomes a file", items: []item{reg(".", "")}, refused: errdefs.ErrInvalidArgument},
	{name: "root becomes a file by dots", items: []item{reg("a/..", "x")}, refused: errdefs.ErrInvalidArgument},
	{name: "root becomes a hard link", items: []item{reg("f", ""), lnk(".", "f")}, refused: errdefs.ErrInvalidArgument},
	{name: "root becomes a pipe", items: []item{dev(".", tar.TypeFifo, 0, 0)}, refused: errdefs.ErrInvalidArgument},

	{name: "set-id bits through a link", items: []item{sym("ln", "OUT/setuid"), fold("ln").mode(0o4777)}},
	{name: "entry of an unknown type", items: []item{{Header: tar.Header{Typeflag: 'Z', Name: "z"}}}, refused: errdefs.ErrInvalidArgument},
	{name: "device number out of range", items: []item{dev("d", tar.TypeChar, 1<<20, 0)}, refused: errdefs.ErrInvalidArgument},
	{name: "long name", items: []item{reg(strings.Repeat("a/", 3000)+"f", "x")}, refused: errdefs.ErrInvalidArgument},
	{name: "long part of a name", items: []item{reg(strings.Repeat("a", 300), "x")}, refused: unix.ENAMETOOLONG},
	{name: "long target of a link", items: []item{sym("ln", strings.Repeat("a/", 3000))}, refused: errdefs.ErrInvalidArgument},
	{name: "deep folders", items: []item{reg(strings.Repeat("a/", 1500)+"f", "x"), reg("g", "y")}},
	{name: "file below a file", items: []item{reg("f", "x"), reg("f/g", "x")}, refused: unix.ENOTDIR},
	{name: "name that is not text", items: []item{reg("\xff\xfe\n\t", "x")}},
}

// place puts the canary's paths into a hostile archive.
func (c *canary) place(items []item) []item {
	out := make([]item, len(items))
	for i, it := range items {
		r := strings.NewReplacer("OUT", c.outside, "UP", "../canary")
		it.Name, it.Linkname = r.Replace(it.Name), r.Replace(it.Linkname)
		out[i] = it
	}
	return out
}

func TestUnpackContainsHostileArchives(t *testing.T) {
	inMemory(t)
	for _, kind := range []struct {
		name string
		o    UnpackOptions
	}{
		{"plain", UnpackOptions{}},
		{"layer", UnpackOptions{Whiteouts: Apply, RootEntry: true}},
		{"overlay", UnpackOptions{Whiteouts: Overlay, RootEntry: true}},
		{"copy", UnpackOptions{NoOverwriteDirNonDir: true, Owner: &Owner{0, 0}}},
	} {
		for _, h := range hostile {
			t.Run(kind.name+"/"+h.name, func(t *testing.T) {
				c := newCanary(t)
				_, err := unpack(t, c.root, pack(c.place(h.items)...), kind.o)
				c.unharmed(t)
				if h.refused != nil {
					assert.ErrorIs(t, err, h.refused)
				}
				if h.tree == nil || kind.o.NoOverwriteDirNonDir {
					return
				}
				if h.refused == nil {
					assert.NilError(t, err)
				}
				want := make([]string, len(h.tree))
				for i, line := range h.tree {
					want[i] = strings.ReplaceAll(line, "OUT", c.outside)
				}
				assert.DeepEqual(t, treeOf(t, c.root), want)
			})
		}
	}
}

// The same archives against a root that already holds the links that they would
// need, as a layer above a hostile one does.
func TestUnpackIsContainedByLinksThatWereThereBefore(t *testing.T) {
	for _, o := range []UnpackOptions{{}, {Whiteouts: Apply}, {Whiteouts: Overlay}} {
		c := newCanary(t)
		for name, target := range map[string]string{"abs": c.outside, "rel": "../canary", "file": c.outside + "/secret", "up": "../../../../../.."} {
			assert.NilError(t, os.Symlink(target, filepath.Join(c.root, name)))
		}
		for _, it := range []item{
			reg("abs/secret", "x"), reg("rel/secret", "x"), reg("file", "x"), reg("up/"+c.outside+"/secret", "x"), fold("abs/sub").mode(0o777),
			lnk("h1", "abs/secret"), lnk("h2", "rel/secret"), reg("abs/.wh.secret", ""), reg("rel/.wh..wh..opq", ""),
			reg("up"+c.outside+"/.wh.sub", ""), sym("rel/planted", "x"),
		} {
			_, err := unpack(t, c.root, pack(it), o)
			t.Log(it.Name, err) // either is fine
			c.unharmed(t)
		}
	}
}

func TestUnpackFollowsLinksInsideTheRoot(t *testing.T) {
	root := t.TempDir()
	_, err := unpack(t, root, pack(
		fold("usr"), fold("usr/lib"), sym("lib", "usr/lib"), sym("abs", "/usr/lib"), reg("lib/a", "1"), reg("abs/b", "2"), reg("abs/new/c", "3"),
		sym("dangling", "/run/later"), reg("dangling/d", "4")), UnpackOptions{})
	assert.NilError(t, err)
	assert.DeepEqual(t, treeOf(t, root), []string{
		"abs -> /usr/lib", "dangling -> /run/later", "lib -> usr/lib", "run/", "run/later/", "run/later/d = 4",
		"usr/", "usr/lib/", "usr/lib/a = 1", "usr/lib/b = 2", "usr/lib/new/", "usr/lib/new/c = 3"})
}

func TestUnpackTakesAbsoluteHardLinksAsRelativeToTheRoot(t *testing.T) {
	root := t.TempDir()
	_, err := unpack(t, root, pack(fold("d"), reg("d/f", "1"), lnk("a", "/d/f"), lnk("/d/b", "./d/f")), UnpackOptions{})
	assert.NilError(t, err)
	assert.DeepEqual(t, treeOf(t, root), []string{"a = 1", "d/", "d/b = 1", "d/f = 1"})
	var st unix.Stat_t
	assert.NilError(t, unix.Lstat(filepath.Join(root, "a"), &st))
	assert.Equal(t, st.Nlink, uint64(3))
}

func TestUnpackGivesTheRootOnlyLegalAttributes(t *testing.T) {
	for _, name := range []string{".", "./", "/", "a/.."} {
		for _, asked := range []bool{true, false} {
			c := newCanary(t)
			assert.NilError(t, os.Chmod(c.top, 0o710))
			_, err := unpack(t, c.root, pack(fold(name).mode(0o6750)), UnpackOptions{RootEntry: asked})
			assert.NilError(t, err)
			st, err := os.Stat(c.root)
			assert.NilError(t, err)
			want := os.FileMode(0o755) | os.ModeDir
			if asked {
				want = 0o750 | os.ModeDir
			}
			assert.Equal(t, st.Mode(), want, "after the entry %q", name)
			top, err := os.Stat(c.top)
			assert.NilError(t, err)
			assert.Equal(t, top.Mode().Perm(), os.FileMode(0o710))
		}
	}
}

func TestUnpackRefusesLyingAndTruncatedArchives(t *testing.T) {
	whole := pack(fold("d"), reg("d/f", strings.Repeat("x", 3000)), reg("g", "y"))
	for _, at := range []int{100, 511, 513, 1000, 1600, 4000, 4608} {
		_, err := unpack(t, t.TempDir(), whole[:at], UnpackOptions{})
		assert.ErrorIs(t, err, ErrTruncated, "cut off at %d", at)
		assert.Assert(t, errdefs.IsInvalidArgument(err))
	}
	_, err := unpack(t, t.TempDir(), whole[:2000], UnpackOptions{})
	assert.ErrorContains(t, err, `"d/f"`)

	// Between two entries only the end mark tells.
	_, err = unpack(t, t.TempDir(), whole[:512], UnpackOptions{})
	assert.NilError(t, err)
	_, err = unpack(t, t.TempDir(), whole[:512], UnpackOptions{NeedEnd: true})
	assert.ErrorIs(t, err, ErrTruncated)
	_, err = unpack(t, t.TempDir(), whole, UnpackOptions{NeedEnd: true})
	assert.NilError(t, err)

	_, err = unpack(t, t.TempDir(), bytes.Repeat([]byte("no tar at all "), 100), UnpackOptions{})
	assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)

	lie := bytes.Clone(whole[:1024])
	copy(lie[512+124:], "77777777777\x00") // the size of d/f: 8 GiB
	checksum(lie[512:1024])
	_, err = unpack(t, t.TempDir(), lie, UnpackOptions{})
	assert.ErrorIs(t, err, ErrTruncated)
}

// checksum writes the sum of a header block that was changed.
func checksum(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:156], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
}

func TestUnpackStopsAtItsLimits(t *testing.T) {
	root := t.TempDir()
	three := pack(reg("a", "1234"), reg("b", "1234"), reg("c", "1234"))
	_, err := unpack(t, root, three, UnpackOptions{MaxBytes: 11})
	assert.ErrorIs(t, err, ErrTooLarge)
	assert.DeepEqual(t, treeOf(t, root), []string{"a = 1234", "b = 1234"})
	_, err = unpack(t, t.TempDir(), three, UnpackOptions{MaxEntries: 2})
	assert.ErrorIs(t, err, ErrTooLarge)
	res, err := unpack(t, t.TempDir(), three, UnpackOptions{MaxEntries: 3, MaxBytes: 1 << 20})
	assert.NilError(t, err)
	assert.Equal(t, res, Result{Bytes: 12, Entries: 3})
	_, err = unpack(t, t.TempDir(), append(pack(), make([]byte, 100_000)...), UnpackOptions{MaxBytes: 50_000})
	assert.ErrorIs(t, err, ErrTooLarge)

	_, err = Unpack(t.Context(), t.TempDir(), LimitReader(bytes.NewReader(three), 2000), unprivileged(UnpackOptions{}))
	assert.ErrorIs(t, err, ErrTooLarge)
	_, err = Unpack(t.Context(), t.TempDir(), LimitReader(bytes.NewReader(three), int64(len(three))), unprivileged(UnpackOptions{}))
	assert.NilError(t, err)
}

func TestUnpackStopsWhenCancelled(t *testing.T) {
	ctx, cancel := newCancelOnRead(t, 3)
	_, err := Unpack(ctx, t.TempDir(), cancel, unprivileged(UnpackOptions{}))
	assert.ErrorIs(t, err, ctx.Err())
	assert.Assert(t, cancel.reads < 10, "%d reads", cancel.reads)
}

func TestUnpackHandsOnTheSourcesError(t *testing.T) {
	broken := errors.New("the source failed")
	r := &failingReader{pack(reg("f", strings.Repeat("x", 5000)))[:2000], broken}
	_, err := Unpack(t.Context(), t.TempDir(), r, unprivileged(UnpackOptions{}))
	assert.ErrorIs(t, err, broken)
	assert.Assert(t, !errdefs.IsInvalidArgument(err))
}

func TestUnpackDoesNotOverwriteFoldersIfAsked(t *testing.T) {
	for _, items := range [][]item{{fold("a"), reg("a", "x")}, {reg("a", "x"), fold("a")}} {
		root := t.TempDir()
		_, err := unpack(t, root, pack(items...), UnpackOptions{NoOverwriteDirNonDir: true})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		_, err = unpack(t, root, pack(items...), UnpackOptions{})
		assert.NilError(t, err)
	}
}

func TestUnpackOpensNothingThatMayBlock(t *testing.T) {
	root := t.TempDir()
	_, err := unpack(t, root, pack(dev("p", tar.TypeFifo, 0, 0), reg("p/x", "")), UnpackOptions{})
	assert.ErrorIs(t, err, unix.ENOTDIR)
	_, err = unpack(t, root, pack(dev("p", tar.TypeFifo, 0, 0), reg("p", "x")), UnpackOptions{})
	assert.NilError(t, err)
	assert.DeepEqual(t, treeOf(t, root), []string{"p = x"})
}

func TestUnpackCountsFoldersThatAreOnlyImplied(t *testing.T) {
	inMemory(t)
	for _, o := range []UnpackOptions{{}, {Whiteouts: Apply}, {Whiteouts: Overlay}} {
		o.MaxEntries = 100
		_, err := unpack(t, t.TempDir(), pack(reg(strings.Repeat("a/", 200)+"f", "x")), o)
		assert.ErrorIs(t, err, ErrTooLarge)
		res, err := unpack(t, t.TempDir(), pack(reg(strings.Repeat("a/", 99)+"f", "x")), o)
		assert.NilError(t, err)
		assert.Equal(t, res.Entries, int64(100))
	}
}
