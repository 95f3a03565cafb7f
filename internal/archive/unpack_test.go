package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// cancelOnRead cancels its context at the n-th read and gives zeros of a file for ever.
type cancelOnRead struct {
	head   []byte
	cancel context.CancelFunc
	n      int
	reads  int
}

func newCancelOnRead(t *testing.T, n int) (context.Context, *cancelOnRead) {
	ctx, cancel := context.WithCancel(t.Context())
	return ctx, &cancelOnRead{head: pack(reg("f", strings.Repeat("x", 1<<20)))[:512], cancel: cancel, n: n}
}

func (r *cancelOnRead) Read(p []byte) (int, error) {
	if r.reads++; r.reads == r.n {
		r.cancel()
	}
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	return len(p), nil
}

type failingReader struct {
	data []byte
	err  error
}

func (r *failingReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, r.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	assert.NilError(t, unix.Lstat(path, &st))
	return st
}

func TestUnpackRestoresFolderTimesInAnyOrder(t *testing.T) {
	// Folders first, then files, then deeper ones: no order that tar would make.
	root := t.TempDir()
	_, err := unpack(t, root, pack(
		fold("a"), fold("b"), fold("a/sub"), reg("b/1", "x"), reg("a/1", "x"), reg("a/sub/1", "x"), reg("b/2", "x"), reg("a/2", "x"),
		sym("to", "a/sub"), reg("to/3", "x"), lnk("b/3", "a/1")), UnpackOptions{})
	assert.NilError(t, err)
	for _, d := range []string{"a", "b", "a/sub"} {
		assert.Equal(t, stat(t, filepath.Join(root, d)).Mtim.Sec, then.Unix(), "time of %s", d)
	}
}

func TestUnpackSetsModesOfFoldersThatItFills(t *testing.T) {
	root := t.TempDir()
	_, err := unpack(t, root, pack(fold("a").mode(0o500), reg("a/f", "1"), fold("a/b").mode(0), reg("a/b/g", "2"), reg("h", "3"), reg("a/i", "4")), UnpackOptions{})
	assert.NilError(t, err)
	assert.Equal(t, stat(t, filepath.Join(root, "a")).Mode&0o7777, uint32(0o500))
	assert.Equal(t, stat(t, filepath.Join(root, "a/b")).Mode&0o7777, uint32(0))
	assert.Equal(t, stat(t, filepath.Join(root, "a/i")).Size, int64(1))
	assert.NilError(t, os.Chmod(filepath.Join(root, "a"), 0o700)) // so that the test can clean up
	assert.NilError(t, os.Chmod(filepath.Join(root, "a/b"), 0o700))
}

func TestUnpackKeepsOwnersModesAndDevices(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	const most = 1<<32 - 2
	_, err := unpack(t, root, pack(
		reg("f", "x").owner(most, most).mode(0o6755), fold("d").owner(1, 2).mode(0o1777), sym("s", "f").owner(3, 4),
		dev("null", tar.TypeChar, 1, 3).owner(5, 6), dev("sda", tar.TypeBlock, 8, 0).mode(0o660), dev("fifo", tar.TypeFifo, 0, 0).mode(0o2640)), UnpackOptions{})
	assert.NilError(t, err)
	for name, want := range map[string]unix.Stat_t{
		"f":    {Mode: unix.S_IFREG | 0o6755, Uid: most, Gid: most},
		"d":    {Mode: unix.S_IFDIR | 0o1777, Uid: 1, Gid: 2},
		"s":    {Mode: unix.S_IFLNK | 0o777, Uid: 3, Gid: 4},
		"null": {Mode: unix.S_IFCHR | 0o666, Uid: 5, Gid: 6, Rdev: unix.Mkdev(1, 3)},
		"sda":  {Mode: unix.S_IFBLK | 0o660, Rdev: unix.Mkdev(8, 0)},
		"fifo": {Mode: unix.S_IFIFO | 0o2640},
	} {
		have := stat(t, filepath.Join(root, name))
		assert.DeepEqual(t, []uint64{uint64(have.Mode), uint64(have.Uid), uint64(have.Gid), have.Rdev},
			[]uint64{uint64(want.Mode), uint64(want.Uid), uint64(want.Gid), want.Rdev})
		assert.Equal(t, have.Mtim.Sec, then.Unix())
	}
	for _, bad := range []item{reg("f", "").owner(most+1, 0), reg("f", "").owner(0, most+1), reg("f", "").owner(1<<40, 0)} {
		_, err := unpack(t, root, pack(bad), UnpackOptions{})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
	}
	_, err = unpack(t, root, pack(reg("owned", "")), UnpackOptions{Owner: &Owner{7, 8}})
	assert.NilError(t, err)
	assert.Equal(t, stat(t, filepath.Join(root, "owned")).Gid, uint32(8))
}

func TestUnpackTreatsDevicesAsTold(t *testing.T) {
	root := t.TempDir()
	data := pack(dev("null", tar.TypeChar, 1, 3), reg("f", "1"))
	_, err := unpack(t, root, data, UnpackOptions{Devices: RefuseDevices})
	assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
	_, err = unpack(t, root, data, UnpackOptions{Devices: SkipDevices})
	assert.NilError(t, err)
	assert.DeepEqual(t, treeOf(t, root), []string{"f = 1"})
}

const legalCapability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func TestUnpackAppliesAttributesThatAreAnArchivesToSet(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	_, err := unpack(t, root, pack(
		reg("f", "x").owner(1, 1).xattr("user.a", "1").xattr("security.capability", legalCapability).
			xattr("trusted.overlay.redirect", "/x").xattr("trusted.x", "1").xattr("security.selinux", "u:r:t").xattr("security.ima", "x").xattr("user.", "x"),
		fold("d").xattr("user.b", "2").xattr("trusted.overlay.opaque", "y"), sym("s", "f").xattr("user.c", "3")), UnpackOptions{})
	assert.NilError(t, err)
	for name, want := range map[string][]string{"f": {"security.capability", "user.a"}, "d": {"user.b"}} {
		buf := make([]byte, 1000)
		n, err := unix.Llistxattr(filepath.Join(root, name), buf)
		assert.NilError(t, err)
		have := strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00")
		slices.Sort(have)
		if n == 0 || !slices.Contains(have, want[len(want)-1]) {
			t.Skip("this file system has no user attributes")
		}
		assert.DeepEqual(t, have, want)
	}
	for _, bad := range []string{"", "x", "\x01\x00\x00\x02", legalCapability + "more", "\x01\x00\x00\x07" + legalCapability[4:]} {
		if bad == "" {
			continue // PAX takes an empty value for "delete the record"
		}
		_, err := unpack(t, root, pack(reg("g", "x").xattr("security.capability", bad)), UnpackOptions{})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%q: %v", bad, err)
	}
}

func TestUnpackKeepsHolesAndBoundsThem(t *testing.T) {
	root := t.TempDir()
	sparse := gnuSparse("holes", 64<<20, "data at the end")
	res, err := unpack(t, root, sparse, UnpackOptions{})
	assert.NilError(t, err)
	assert.Equal(t, res.Bytes, int64(64<<20))
	st := stat(t, filepath.Join(root, "holes"))
	assert.Equal(t, st.Size, int64(64<<20))
	assert.Assert(t, st.Blocks*512 < 8<<20, "the holes take %d bytes", st.Blocks*512)
	f, err := os.Open(filepath.Join(root, "holes"))
	assert.NilError(t, err)
	defer f.Close()
	end := make([]byte, 15)
	_, err = f.ReadAt(end, 64<<20-15)
	assert.NilError(t, err)
	assert.Equal(t, string(end), "data at the end")

	_, err = unpack(t, root, gnuSparse("huge", 1<<42, "x"), UnpackOptions{})
	assert.ErrorIs(t, err, ErrTooLarge)
	_, err = unpack(t, root, sparse, UnpackOptions{MaxBytes: 1 << 20})
	assert.ErrorIs(t, err, ErrTooLarge)
}

// gnuSparse makes an archive of one file of size bytes, all hole but its end, in
// GNU's format 1.0.
func gnuSparse(name string, size int64, end string) []byte {
	table := fmt.Sprintf("1\n%d\n%d\n", size-int64(len(end)), len(end))
	body := table + strings.Repeat("\x00", 512-len(table)) + end
	records := ""
	for _, kv := range [][2]string{{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", name}, {"GNU.sparse.realsize", fmt.Sprint(size)}} {
		line := fmt.Sprintf(" %s=%s\n", kv[0], kv[1])
		n := len(line) + 2
		if len(fmt.Sprint(n)) < 2 {
			n--
		}
		records += fmt.Sprint(n) + line
	}
	block := func(name string, kind byte, size int) []byte {
		b := make([]byte, 512)
		copy(b, name)
		copy(b[100:], "0000644\x000000000\x000000000\x00")
		copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00", size, 0))
		b[156] = kind
		copy(b[257:], "ustar\x0000")
		checksum(b)
		return b
	}
	pad := func(s string) []byte { return append([]byte(s), make([]byte, (512-len(s)%512)%512)...) }
	return slices.Concat(block("pax", 'x', len(records)), pad(records), block("file", '0', len(body)), pad(body), make([]byte, 1024))
}

func TestUnpackKeepsOddTimes(t *testing.T) {
	root := t.TempDir()
	early := reg("early", "")
	early.ModTime = time.Unix(-1000, 5)
	late := reg("late", "")
	late.ModTime = time.Unix(1<<33, 123456789)
	_, err := unpack(t, root, pack(early, late), UnpackOptions{})
	assert.NilError(t, err)
	assert.Equal(t, stat(t, filepath.Join(root, "early")).Mtim, unix.Timespec{Sec: -1000, Nsec: 5})
	assert.Equal(t, stat(t, filepath.Join(root, "late")).Mtim.Nsec, int64(123456789))
}

func TestUnpackSkipsGlobalHeaders(t *testing.T) {
	root := t.TempDir()
	global := item{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "0123"}}}
	_, err := unpack(t, root, pack(global, reg("f", "1")), UnpackOptions{})
	assert.NilError(t, err)
	assert.DeepEqual(t, treeOf(t, root), []string{"f = 1"})
}

func TestUnpackOfWhiteoutsThatAreNone(t *testing.T) {
	for _, o := range []UnpackOptions{{Whiteouts: Apply}, {Whiteouts: Overlay}} {
		for _, bad := range []item{reg(".wh.", ""), reg(".wh..", ""), reg(".wh...", ""), reg("a/.wh..", ""), reg(".wh.d/f", ""), fold(".wh..."), sym(".wh...", "/")} {
			c := newCanary(t)
			assert.NilError(t, os.WriteFile(filepath.Join(c.root, "stays"), nil, 0o644))
			_, err := unpack(t, c.root, pack(bad), o)
			assert.Assert(t, errdefs.IsInvalidArgument(err), "%q: %v", bad.Name, err)
			c.unharmed(t)
			_, err = os.Stat(filepath.Join(c.root, "stays"))
			assert.NilError(t, err)
		}
		// Only the name counts, not what the entry pretends to be.
		c := newCanary(t)
		_, err := unpack(t, c.root, pack(sym("x/.wh..wh..opq", c.outside), fold("y/.wh..wh..opq"), reg(".wh..wh.plnk/1.2", "x"), sym(".wh..wh.aufs", c.outside)),
			UnpackOptions{Whiteouts: Apply})
		assert.NilError(t, err)
		c.unharmed(t)
		assert.DeepEqual(t, treeOf(t, c.root), []string{"x/", "y/"})
	}
	root := t.TempDir()
	_, err := unpack(t, root, pack(reg(".wh.f", "plain")), UnpackOptions{})
	assert.NilError(t, err)
	assert.DeepEqual(t, treeOf(t, root), []string{".wh.f = plain"})
}

func TestUnpackMarksWhiteoutsForOverlay(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	_, err := unpack(t, root, pack(reg(".wh.a", ""), fold("d"), reg("d/.wh..wh..opq", ""), reg("new/.wh.b", ""),
		reg(".wh.back", ""), reg("back/f", "1"), reg(".wh.again", ""), fold("again")), UnpackOptions{Whiteouts: Overlay})
	assert.NilError(t, err)
	for _, name := range []string{"a", "new/b"} {
		st := stat(t, filepath.Join(root, name))
		assert.Assert(t, isWhiteout(&st), name)
	}
	for name, want := range map[string]string{"d": "y", "back": "y", "again": "y", "new": ""} {
		value := make([]byte, 10)
		n, err := unix.Lgetxattr(filepath.Join(root, name), overlayOpaque, value)
		if want == "" {
			assert.ErrorIs(t, err, unix.ENODATA)
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, string(value[:n]), want)
	}
}

func TestUnpackAppliesWhiteoutsOnceInAnyOrder(t *testing.T) {
	for _, items := range [][]item{
		{reg(".wh.a", ""), fold("d"), reg("d/new", "2"), reg("d/.wh..wh..opq", ""), reg(".wh.e", ""), reg("e/new", "2")},
		{fold("d"), reg("d/.wh..wh..opq", ""), reg("d/new", "2"), reg("e/new", "2"), reg(".wh.e", ""), reg(".wh.a", "")},
	} {
		root := t.TempDir()
		_, err := unpack(t, root, pack(reg("a", "1"), fold("d"), reg("d/old", "1"), fold("d/sub"), reg("d/sub/old", "1"), fold("e"), reg("e/old", "1")), UnpackOptions{})
		assert.NilError(t, err)
		_, err = unpack(t, root, pack(items...), UnpackOptions{Whiteouts: Apply})
		assert.NilError(t, err)
		assert.DeepEqual(t, treeOf(t, root), []string{"d/", "d/new = 2", "e/", "e/new = 2"})
	}
}

func TestUnpackReadsPaddingWithoutKeepingIt(t *testing.T) {
	padding := &countingZeros{left: 256 << 20}
	_, err := Unpack(t.Context(), t.TempDir(), io.MultiReader(bytes.NewReader(pack(reg("f", "1"))), padding), unprivileged(UnpackOptions{}))
	assert.NilError(t, err)
	assert.Equal(t, padding.left, int64(0))
}

type countingZeros struct{ left int64 }

func (z *countingZeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	z.left -= n
	clear(p[:n])
	return int(n), nil
}

func TestUnpackNeedsItsFolder(t *testing.T) {
	_, err := unpack(t, filepath.Join(t.TempDir(), "absent"), pack(), UnpackOptions{})
	assert.Assert(t, errors.Is(err, os.ErrNotExist))
}

func TestUnpackHoldsFewDescriptors(t *testing.T) {
	inMemory(t)
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		assert.NilError(t, err)
		return len(entries)
	}
	before := open()
	most := 0
	items := []item{}
	for i := range 300 {
		items = append(items, reg(strings.Repeat("a/", i)+"f", "x"))
	}
	r := &watchedReader{r: bytes.NewReader(pack(items...)), each: func() { most = max(most, open()) }}
	_, err := Unpack(t.Context(), t.TempDir(), r, unprivileged(UnpackOptions{}))
	assert.NilError(t, err)
	assert.Assert(t, most <= before+maxStack+5, "%d descriptors, %d before", most, before)
	assert.Equal(t, open(), before)
}

type watchedReader struct {
	r    io.Reader
	each func()
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.each()
	return w.r.Read(p[:min(len(p), 4096)])
}

func TestUnpackOfLayersKeepsFolderTimesInAnyOrder(t *testing.T) {
	for _, o := range []UnpackOptions{{Whiteouts: Apply}, {Whiteouts: Overlay}} {
		root := t.TempDir()
		_, err := unpack(t, root, pack(fold("a"), fold("b"), fold("a/sub"), reg("b/1", "x"), reg("a/1", "x"), reg("a/sub/1", "x"),
			reg("b/2", "x"), reg("a/.wh.gone", ""), reg("b/.wh.1", ""), reg("a/2", "x")), o)
		if os.Geteuid() != 0 && errors.Is(err, unix.EPERM) {
			t.Skip("whiteouts need root here")
		}
		assert.NilError(t, err)
		for _, d := range []string{"a", "b", "a/sub"} {
			assert.Equal(t, stat(t, filepath.Join(root, d)).Mtim.Sec, then.Unix(), "time of %s", d)
		}
	}
}
