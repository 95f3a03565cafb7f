package overlay2

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/rmtree"
)

// mess does things to a tree that a container might do.
type mess struct {
	*rand.Rand
	root  string
	clock int64
}

// some gives a random path that is there, or a new one.
func (m *mess) some() string {
	path := m.root
	for range 1 + m.IntN(3) {
		path = filepath.Join(path, string(rune('a'+m.IntN(4))))
	}
	return path
}

func (m *mess) step() {
	p, q := m.some(), m.some()
	switch m.IntN(16) {
	case 0, 1:
		_ = os.Mkdir(p, 0o755)
	case 2, 3, 4:
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NONBLOCK, 0o644); err == nil { // it may be a pipe
			fmt.Fprint(f, m.Uint64())
			f.Close()
		}
	case 5:
		_ = rmtree.Path(p)
	case 6:
		_ = os.Remove(p)
	case 7, 8:
		_ = os.Rename(p, q)
	case 9:
		_ = os.Link(p, q)
	case 10:
		_ = os.Symlink([]string{"a", "/b", "../nowhere"}[m.IntN(3)], p)
	case 11:
		_ = os.Lchown(p, m.IntN(3), m.IntN(3))
	case 12:
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK {
			_ = os.Chmod(p, fs.FileMode(0o700+m.IntN(0o100)))
		}
	case 13:
		_ = unix.Setxattr(p, "user.k", []byte{byte(m.IntN(3))}, 0)
	case 14: // a folder that is another one now
		if rmtree.Path(p) == nil {
			_ = os.Mkdir(p, 0o755)
		}
	case 15:
		switch m.IntN(3) {
		case 0:
			_ = unix.Mkfifo(p, 0o600)
		case 1:
			_ = unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
		case 2: // copied up, and as it was
			if f, err := os.OpenFile(p, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.Close()
			}
		}
	}
	// Times in whole seconds, each its own: diffs go by them, archives keep no more.
	m.clock++
	for _, path := range []string{p, q} {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil && st.Mtim.Nsec != 0 {
			at := unix.Timespec{Sec: 1e9 + m.clock}
			_ = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
		}
	}
}

// listing tells all there is in a tree, but for the times of folders; of hard
// links, which belong together, if links is set.
func listing(t *testing.T, root string, links bool) []string {
	t.Helper()
	var lines []string
	groups := map[uint64]string{}
	assert.NilError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		line := fmt.Sprintf("%s %o %d:%d %d", rel, st.Mode, st.Uid, st.Gid, st.Rdev)
		if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFDIR {
			if groups[st.Ino] == "" {
				groups[st.Ino] = rel
			}
			line += fmt.Sprintf(" %d", st.Mtim.Sec)
			if links {
				line += " " + groups[st.Ino]
			}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			var value [8]byte
			if n, err := unix.Lgetxattr(path, "user.k", value[:]); err == nil {
				line += fmt.Sprintf(" user.k=%x", value[:n])
			}
		}
		lines = append(lines, line)
		return nil
	}))
	return lines
}

// What the driver finds by looking at overlayfs' marks is what a comparison of
// the whole trees finds, and its tar makes the same tree above the same parent.
func TestTheNativeDiffIsTheNaiveOne(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s // to see a failure again
	}
	t.Logf("seed %d", seed)
	for round := range 10 {
		d := driver(t)
		m := &mess{Rand: rand.New(rand.NewPCG(seed, uint64(round)))}
		parent := ""
		for n, steps := range []int{60, 25, 25, 40} {
			id := fmt.Sprint("layer", n)
			assert.NilError(t, d.CreateReadWrite(t.Context(), id, parent, nil))
			dir, err := d.Get(t.Context(), id)
			assert.NilError(t, err)
			m.root = dir
			for range steps {
				m.step()
			}
			compare(t, d, id, parent, dir)
			assert.NilError(t, d.Put(t.Context(), id))
			parent = id
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

func compare(t *testing.T, d *Driver, id, parent, dir string) {
	t.Helper()
	naive := graphdriver.NewNaive(d)
	native, err := d.Changes(t.Context(), id)
	assert.NilError(t, err)
	want, err := naive.Changes(t.Context(), id)
	assert.NilError(t, err)
	if !slices.Equal(native, want) {
		t.Errorf("layer %s: native and naive changes differ:\n%v\n%v", id, without(native, want), without(want, native))
	}
	for name, differ := range map[string]graphdriver.Differ{"native": d, "naive": naive} {
		copied := id + "-" + name
		assert.NilError(t, d.Create(t.Context(), copied, parent))
		diff, err := differ.Diff(t.Context(), id)
		assert.NilError(t, err)
		_, err = d.ApplyDiff(t.Context(), copied, diff)
		assert.NilError(t, err)
		_, err = io.Copy(io.Discard, diff)
		assert.NilError(t, err)
		assert.NilError(t, diff.Close())
		merged, err := d.Get(t.Context(), copied)
		assert.NilError(t, err)
		// A comparison of trees passes over the older name of a file that got a further one.
		links := name == "native"
		got, tree := listing(t, merged, links), listing(t, dir, links)
		assert.NilError(t, d.Put(t.Context(), copied))
		if !slices.Equal(got, tree) {
			t.Errorf("layer %s: the %s diff makes another tree:\n%s\n--- instead of\n%s", id, name, strings.Join(except(got, tree), "\n"), strings.Join(except(tree, got), "\n"))
		}
		// And what it made is no change more or less.
		again, err := d.Changes(t.Context(), copied)
		assert.NilError(t, err)
		if !slices.Equal(again, native) {
			t.Errorf("layer %s: the %s diff has other changes once it is applied:\n%v\n%v", id, name, without(again, native), without(native, again))
		}
		assert.NilError(t, d.Remove(t.Context(), copied))
	}
}

func without(a, b []graphdriver.Change) (out []graphdriver.Change) {
	for _, c := range a {
		if !slices.Contains(b, c) {
			out = append(out, c)
		}
	}
	return out
}

func except(a, b []string) (out []string) {
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, line)
		}
	}
	return out
}
