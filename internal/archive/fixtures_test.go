package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// item is one entry of a tar and a file's content.
type item struct {
	tar.Header
	content string
}

var then = time.Unix(1_500_000_000, 0)

func reg(name, content string) item {
	return item{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: then}, content}
}

func fold(name string) item {
	return item{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: then}}
}

func sym(name, target string) item {
	return item{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: then}}
}

func lnk(name, target string) item {
	return item{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, ModTime: then}}
}

func dev(name string, kind byte, major, minor int64) item {
	return item{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o666, Devmajor: major, Devminor: minor, ModTime: then}}
}

func (i item) mode(mode int64) item { i.Mode = mode; return i }

func (i item) owner(uid, gid int) item { i.Uid, i.Gid = uid, gid; return i }

func (i item) xattr(name, value string) item {
	if i.PAXRecords == nil {
		i.PAXRecords = map[string]string{}
	}
	i.PAXRecords[paxXattr+name] = value
	return i
}

// pack makes a tar of items. Names are written as they are, whatever they say.
func pack(items ...item) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, i := range items {
		i.Format = tar.FormatPAX
		if err := w.WriteHeader(&i.Header); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, i.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// canary is a folder with things that hostile archives aim at, beside the root
// that they are unpacked into.
type canary struct {
	top, root, outside string
	before             string
}

func newCanary(t testing.TB) *canary {
	t.Helper()
	top := t.TempDir()
	c := &canary{top: top, root: filepath.Join(top, "root"), outside: filepath.Join(top, "canary")}
	assert.NilError(t, os.Mkdir(c.root, 0o755))
	assert.NilError(t, os.Mkdir(c.outside, 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(c.outside, "secret"), []byte("secret"), 0o600))
	assert.NilError(t, os.WriteFile(filepath.Join(c.outside, "setuid"), []byte("program"), 0o755))
	assert.NilError(t, os.Chmod(filepath.Join(c.outside, "setuid"), 0o755|os.ModeSetuid))
	assert.NilError(t, unix.Mkfifo(filepath.Join(c.outside, "fifo"), 0o600))
	assert.NilError(t, os.Mkdir(filepath.Join(c.outside, "sub"), 0o700))
	c.before = c.look()
	return c
}

// look describes everything but what is in the root.
func (c *canary) look() string {
	return strings.Join(append(describe(c.outside), describeTop(c.top)...), "\n")
}

func (c *canary) unharmed(t testing.TB) {
	t.Helper()
	assert.Equal(t, c.look(), c.before, "something outside the root changed")
}

func describeTop(top string) []string {
	var lines []string
	entries, err := os.ReadDir(top)
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		st, err := os.Lstat(filepath.Join(top, e.Name()))
		if err != nil {
			return []string{err.Error()}
		}
		lines = append(lines, fmt.Sprint("top ", e.Name(), st.Mode().Type()))
	}
	return lines
}

// describe gives a line for each thing below dir, with all that must not change.
func describe(dir string) []string {
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		var sum [32]byte
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = sha256.Sum256(data)
		}
		lines = append(lines, fmt.Sprintf("%s %o %d:%d size %d links %d time %d.%d %x",
			path, st.Mode, st.Uid, st.Gid, st.Size, st.Nlink, st.Mtim.Sec, st.Mtim.Nsec, sum[:8]))
		return nil
	})
	if err != nil {
		lines = append(lines, err.Error())
	}
	return lines
}

// treeOf describes what is below dir, one line each: the path, "/" behind folders,
// "-> target", "= content" or the kind of what is neither.
func treeOf(t testing.TB, dir string) []string {
	t.Helper()
	lines := []string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		switch {
		case st.IsDir():
			name += "/"
		case st.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if len(data) > 100 {
				data = fmt.Appendf(nil, "%d bytes", len(data))
			}
			name += " = " + string(data)
		case st.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			name += " -> " + target
		default:
			name += " " + st.Mode().Type().String()
		}
		lines = append(lines, name)
		return nil
	})
	assert.NilError(t, err)
	slices.Sort(lines)
	return lines
}

// unprivileged are options with which plain users can unpack, too.
func unprivileged(o UnpackOptions) UnpackOptions {
	if os.Geteuid() != 0 {
		o.NoOwner = true
		if o.Devices == CreateDevices {
			o.Devices = SkipDevices
		}
	}
	return o
}

// inMemory puts a test's folders on a tmpfs, where making many is quick.
func inMemory(t *testing.T) {
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func unpack(t testing.TB, root string, data []byte, o UnpackOptions) (Result, error) {
	t.Helper()
	return Unpack(context.Background(), root, bytes.NewReader(data), unprivileged(o))
}
