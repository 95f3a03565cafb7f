package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// sample makes a tree with something of each kind that plain users can make.
func sample(t testing.TB, root string) {
	t.Helper()
	_, err := unpack(t, root, pack(
		fold("d").mode(0o750), reg("d/f", "content"), lnk("d/h", "d/f"), sym("d/s", "../elsewhere"), sym("d/s2", strings.Repeat("long/", 100)),
		dev("fifo", tar.TypeFifo, 0, 0), reg("empty", ""), reg(strings.Repeat("long", 50), "x"), fold("ünï/"), reg("z", "last").mode(0o4711)), UnpackOptions{})
	assert.NilError(t, err)
}

func packed(t testing.TB, root string, o PackOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	assert.NilError(t, Pack(context.Background(), &buf, root, o))
	return buf.Bytes()
}

func headers(t testing.TB, data []byte) []*tar.Header {
	t.Helper()
	var list []*tar.Header
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		assert.NilError(t, err)
		list = append(list, h)
	}
}

func names(t testing.TB, data []byte) []string {
	t.Helper()
	var list []string
	for _, h := range headers(t, data) {
		list = append(list, h.Name)
	}
	return list
}

// attributes is describe with paths relative to dir, times in seconds.
func attributes(t testing.TB, dir string) []string {
	t.Helper()
	lines := describe(dir)
	for i, l := range lines {
		l = strings.TrimPrefix(l, dir)
		before, after, _ := strings.Cut(l, " time ")
		seconds, rest, _ := strings.Cut(after, ".")
		_, sum, _ := strings.Cut(rest, " ")
		lines[i] = before + " " + seconds + " " + sum
	}
	return lines[1:]
}

func TestPackAndUnpackGiveTheSameTree(t *testing.T) {
	root, back := t.TempDir(), t.TempDir()
	sample(t, root)
	data := packed(t, root, PackOptions{})
	_, err := unpack(t, back, data, UnpackOptions{NeedEnd: true})
	assert.NilError(t, err)
	assert.DeepEqual(t, attributes(t, back), attributes(t, root))
	assert.Assert(t, bytes.Equal(packed(t, back, PackOptions{}), data), "packing twice gives other bytes")
}

func TestPackNamesItsRootAsAsked(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	assert.NilError(t, os.MkdirAll(filepath.Join(root, "d"), 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(root, "d/f"), []byte("x"), 0o600))
	assert.DeepEqual(t, names(t, packed(t, root, PackOptions{})), []string{"d/", "d/f"})
	assert.DeepEqual(t, names(t, packed(t, root, PackOptions{Name: "other"})), []string{"other/", "other/d/", "other/d/f"})
	assert.DeepEqual(t, names(t, packed(t, root, PackOptions{Name: "."})), []string{"./", "./d/", "./d/f"})
	assert.DeepEqual(t, names(t, packed(t, filepath.Join(root, "d/f"), PackOptions{Name: "one"})), []string{"one"})
	h := headers(t, packed(t, root, PackOptions{Owner: &Owner{5, 6}}))
	assert.Equal(t, h[0].Uid, 5)
	assert.Equal(t, h[1].Gid, 6)
	assert.ErrorIs(t, Pack(t.Context(), io.Discard, filepath.Join(root, "absent"), PackOptions{}), os.ErrNotExist)
}

func TestPackFollowsNoLinks(t *testing.T) {
	c := newCanary(t)
	assert.NilError(t, os.Symlink(c.outside, filepath.Join(c.root, "ln")))
	assert.NilError(t, os.Symlink("/", filepath.Join(c.root, "top")))
	assert.DeepEqual(t, names(t, packed(t, c.root, PackOptions{})), []string{"ln", "top"})
	c.unharmed(t)
}

func TestPackLeavesSocketsOut(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	assert.NilError(t, err)
	defer unix.Close(fd)
	assert.NilError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: "sock"}))
	assert.NilError(t, os.WriteFile("zfile", nil, 0o600))
	assert.DeepEqual(t, names(t, packed(t, root, PackOptions{})), []string{"zfile"})
}

func TestPackKeepsAttributes(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	f := filepath.Join(root, "f")
	assert.NilError(t, os.WriteFile(f, nil, 0o755))
	assert.NilError(t, unix.Setxattr(f, "security.capability", []byte(legalCapability), 0))
	assert.NilError(t, unix.Setxattr(f, "trusted.overlay.origin", []byte("x"), 0))
	assert.NilError(t, unix.Mknod(filepath.Join(root, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	assert.NilError(t, os.Lchown(f, 1<<32-2, 3_000_000_000))
	assert.NilError(t, unix.Setxattr(f, "security.capability", []byte(legalCapability), 0))
	h := headers(t, packed(t, root, PackOptions{}))
	assert.Equal(t, h[0].PAXRecords[paxXattr+"security.capability"], legalCapability)
	_, ok := h[0].PAXRecords[paxXattr+"trusted.overlay.origin"]
	assert.Assert(t, !ok)
	assert.Equal(t, h[0].Uid, 1<<32-2)
	assert.Equal(t, h[0].Gid, 3_000_000_000)
	assert.Equal(t, h[1].Devminor, int64(3))
}

func TestPackStopsWhenCancelled(t *testing.T) {
	root := t.TempDir()
	sample(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, Pack(ctx, io.Discard, root, PackOptions{}), context.Canceled)
}

func TestPackHandsOnTheWritersError(t *testing.T) {
	root := t.TempDir()
	sample(t, root)
	assert.ErrorIs(t, Pack(t.Context(), fullWriter{}, root, PackOptions{}), unix.ENOSPC)
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, unix.ENOSPC }

// A file that shrinks while it is packed is filled with zeros: the stream stays a tar.
func TestPackSurvivesFilesThatChange(t *testing.T) {
	root := t.TempDir()
	f := filepath.Join(root, "f")
	assert.NilError(t, os.WriteFile(f, bytes.Repeat([]byte("x"), 3<<20), 0o600))
	assert.NilError(t, os.WriteFile(filepath.Join(root, "g"), []byte("g"), 0o600))
	var buf bytes.Buffer
	w := &truncating{w: &buf, path: f}
	assert.NilError(t, Pack(t.Context(), w, root, PackOptions{}))
	back := t.TempDir()
	_, err := unpack(t, back, buf.Bytes(), UnpackOptions{NeedEnd: true})
	assert.NilError(t, err)
	assert.Equal(t, stat(t, filepath.Join(back, "f")).Size, int64(3<<20))
	assert.Equal(t, stat(t, filepath.Join(back, "g")).Size, int64(1))
}

type truncating struct {
	w    io.Writer
	path string
	done bool
}

func (t *truncating) Write(p []byte) (int, error) {
	if !t.done {
		t.done = true
		if err := os.Truncate(t.path, 100); err != nil {
			return 0, err
		}
	}
	return t.w.Write(p)
}

func TestCopyTreeCopiesEverything(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	sample(t, from)
	if os.Geteuid() == 0 {
		assert.NilError(t, unix.Mknod(filepath.Join(from, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		assert.NilError(t, os.Chown(filepath.Join(from, "d/f"), 7, 8))
		assert.NilError(t, unix.Setxattr(filepath.Join(from, "d/f"), "security.capability", []byte(legalCapability), 0))
	}
	assert.NilError(t, os.Chmod(from, 0o711))
	assert.NilError(t, CopyTree(t.Context(), to, from))
	assert.DeepEqual(t, attributes(t, to), attributes(t, from))
	assert.Equal(t, stat(t, to).Mode, stat(t, from).Mode)
	assert.Assert(t, bytes.Equal(packed(t, to, PackOptions{}), packed(t, from, PackOptions{})))
	assert.Equal(t, stat(t, filepath.Join(to, "d/f")).Mtim, stat(t, filepath.Join(from, "d/f")).Mtim)
}

func TestCopyTreeFollowsNoLinks(t *testing.T) {
	c := newCanary(t)
	assert.NilError(t, os.Symlink(c.outside, filepath.Join(c.root, "ln")))
	to := t.TempDir()
	assert.NilError(t, CopyTree(t.Context(), to, c.root))
	assert.DeepEqual(t, treeOf(t, to), []string{"ln -> " + c.outside})
}

func TestReadNamesIsSortedAndWhole(t *testing.T) {
	root := t.TempDir()
	var want []string
	for i := range 500 {
		name := strings.Repeat("n", 100) + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		want = append(want, name)
		assert.NilError(t, os.WriteFile(filepath.Join(root, name), nil, 0o600))
	}
	slices.Sort(want)
	fd, err := unix.Open(root, openFolder, 0)
	assert.NilError(t, err)
	defer unix.Close(fd)
	for range 2 {
		have, err := ReadNames(fd)
		assert.NilError(t, err)
		assert.DeepEqual(t, have, want)
	}
}
