package overlay2

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/graphtest"
)

func open(home string) (graphdriver.Driver, error) {
	return New(graphdriver.Options{Home: home})
}

func TestContract(t *testing.T) { graphtest.Run(t, open) }

// inMemory puts a test's folders on a tmpfs, where making many is quick.
func inMemory(t *testing.T) {
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

// Trees can be compared on an overlay, too.
func TestContractOfNaiveDiffs(t *testing.T) {
	inMemory(t)
	graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
		d, err := open(home)
		if err != nil {
			return nil, err
		}
		return struct {
			graphdriver.ProtoDriver
			graphdriver.Differ
		}{d, writableLayers{d, graphdriver.NewNaive(d)}}, nil
	})
}

// writableLayers fills layers as overlay2 does: its read-only ones have no tree to write to.
type writableLayers struct {
	d graphdriver.Driver
	graphdriver.Differ
}

func (w writableLayers) ApplyDiff(ctx context.Context, id string, diff io.Reader) (int64, error) {
	return w.d.ApplyDiff(ctx, id, diff)
}

// The way to mount before Linux 6.5.
func TestContractWithMountOptionsInOneString(t *testing.T) {
	inMemory(t)
	graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
		d, err := open(home)
		if err == nil {
			d.(*Driver).host.manyLowers = false
		}
		return d, err
	})
}

// The way to map ids before Linux 6.15, and before 6.5.
func TestContractWithLayersThatMustBeAttached(t *testing.T) {
	inMemory(t)
	for _, manyLowers := range []bool{true, false} {
		t.Run(fmt.Sprintf("manyLowers=%v", manyLowers), func(t *testing.T) {
			if d, err := open(t.TempDir()); manyLowers && err == nil && !d.(*Driver).host.manyLowers {
				t.Skip("this kernel takes lower folders in one string only")
			}
			graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
				d, err := open(home)
				if err == nil {
					host := &d.(*Driver).host
					host.attached, host.manyLowers = true, manyLowers
				}
				return d, err
			})
		})
	}
}

func TestContractInAHomeWithAnOddName(t *testing.T) {
	inMemory(t)
	graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
		return open(filepath.Join(home, `a:b,c\d e"f`))
	})
}

func TestContractInAHomeWithALongName(t *testing.T) {
	inMemory(t)
	graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
		return open(filepath.Join(home, strings.Repeat("a-long-name/", 20)))
	})
}

func driver(t *testing.T) *Driver {
	t.Helper()
	return driverAt(t, t.TempDir())
}

func driverAt(t *testing.T, home string) *Driver {
	t.Helper()
	d, err := open(home)
	if errors.Is(err, graphdriver.ErrNotSupported) {
		t.Skip(err)
	}
	assert.NilError(t, err)
	t.Cleanup(func() { assert.NilError(t, d.Cleanup()) })
	return d.(*Driver)
}

func layerOf(t *testing.T, names ...string) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		assert.NilError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}))
	}
	assert.NilError(t, w.Close())
	return &buf
}

func TestThreeHundredLayersShowTogether(t *testing.T) {
	d := driver(t)
	if !d.host.manyLowers {
		t.Skip("this kernel takes fewer, see TestMoreLayersThanTheKernelTakesAreRefusedAtCreation")
	}
	const layers = 300
	parent := ""
	for i := range layers {
		id := fmt.Sprintf("%064x", i)
		assert.NilError(t, d.Create(t.Context(), id, parent))
		_, err := d.ApplyDiff(t.Context(), id, layerOf(t, fmt.Sprint("f", i)))
		assert.NilError(t, err)
		parent = id
	}
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", parent, nil))

	dir, err := d.Get(t.Context(), "rw")
	assert.NilError(t, err)
	names, err := os.ReadDir(dir)
	assert.NilError(t, err)
	assert.Equal(t, len(names), layers)
	assert.NilError(t, d.Put(t.Context(), "rw"))
}

func TestMoreLayersThanTheKernelTakesAreRefusedAtCreation(t *testing.T) {
	inMemory(t)
	d := driver(t)
	parent := ""
	for i := range 600 {
		id := fmt.Sprint("l", i)
		if err := d.Create(t.Context(), id, parent); err != nil {
			assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
			assert.Equal(t, i, d.host.maxLowers())
			dir, err := d.Get(t.Context(), parent)
			assert.NilError(t, err, "the highest one that is allowed")
			assert.Equal(t, dir, d.merged(parent))
			assert.NilError(t, d.Put(t.Context(), parent))
			return
		}
		parent = id
	}
	t.Fatal("600 layers were accepted")
}

func TestFoldersAreClosedToOthers(t *testing.T) {
	home := filepath.Join(t.TempDir(), "made/by/the/driver")
	d := driverAt(t, home)
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "", nil))
	for path, want := range map[string]os.FileMode{
		home: 0o710, filepath.Join(home, "rw"): 0o710, d.work("rw"): 0o700, d.merged("rw"): 0o700, d.diff("rw"): 0o755,
		filepath.Join(home, "rw/layer.json"): 0o600,
	} {
		st, err := os.Stat(path)
		assert.NilError(t, err)
		assert.Equal(t, st.Mode().Perm(), want, path)
	}
}

func TestMountsArePrivateAndPlain(t *testing.T) {
	d := driver(t)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", nil))
	dir, err := d.Get(t.Context(), "rw")
	assert.NilError(t, err)
	defer d.Put(t.Context(), "rw")
	data, err := os.ReadFile("/proc/self/mountinfo")
	assert.NilError(t, err)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if f[4] != dir {
			continue
		}
		assert.Equal(t, f[6], "-", "the mount has propagation: %s", line)
		for _, opt := range []string{"userxattr", "volatile", "metacopy=on", "index=on", "redirect_dir=on"} {
			assert.Assert(t, !strings.Contains(line, opt), line)
		}
		return
	}
	t.Fatalf("%s is not a mount point", dir)
}

func TestVolatileLayersCanBeMountedAgain(t *testing.T) {
	d := driver(t)
	if !d.host.volatile {
		t.Skip("this kernel has no volatile overlays")
	}
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", map[string]string{"volatile": "true"}))
	for i := range 3 {
		dir, err := d.Get(t.Context(), "rw")
		assert.NilError(t, err)
		names, err := os.ReadDir(dir)
		assert.NilError(t, err)
		assert.Equal(t, len(names), i)
		assert.NilError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
		assert.NilError(t, d.Put(t.Context(), "rw"))
	}
	err := d.CreateReadWrite(t.Context(), "bad", "base", map[string]string{"volatile": "perhaps"})
	assert.Assert(t, errdefs.IsInvalidArgument(err))
}

func TestSizeOptionIsRefusedByName(t *testing.T) {
	err := driver(t).CreateReadWrite(t.Context(), "rw", "", map[string]string{"size": "1G"})
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	assert.ErrorContains(t, err, "size")
	_, err = New(graphdriver.Options{Home: t.TempDir(), Options: map[string]string{"overlay2.magic": "1"}})
	assert.ErrorContains(t, err, "overlay2.magic")
}

func TestHomeOnAnOverlayIsNotSupported(t *testing.T) {
	d := driver(t)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", nil))
	dir, err := d.Get(t.Context(), "rw")
	assert.NilError(t, err)
	defer d.Put(t.Context(), "rw")
	_, err = New(graphdriver.Options{Home: filepath.Join(dir, "inner")})
	assert.ErrorIs(t, err, graphdriver.ErrNotSupported)
}

// What a process leaves that is killed in the middle is gone after the next New.
func TestLeftoversOfAKilledProcessAreRemoved(t *testing.T) {
	home := t.TempDir()
	d := driverAt(t, home)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", nil))
	dir, err := d.Get(t.Context(), "rw")
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	// Remove was killed after its rename, with the mount still there.
	assert.NilError(t, os.Rename(d.dir("rw"), filepath.Join(home, trashPrefix+"rw")))
	// Create was killed, as was a probe.
	assert.NilError(t, os.MkdirAll(filepath.Join(home, newPrefix+"other", "diff"), 0o700))
	assert.NilError(t, os.MkdirAll(filepath.Join(home, checkPrefix+"123", "lower1"), 0o700))

	next := driverAt(t, home)
	assert.NilError(t, next.CreateReadWrite(t.Context(), "rw", "base", nil), "at once")
	assert.NilError(t, next.Create(t.Context(), "other", ""), "at once")
	assert.NilError(t, next.Cleanup())
	entries, err := os.ReadDir(home)
	assert.NilError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.DeepEqual(t, names, []string{"base", "other", "rw"})
	data, err := os.ReadFile("/proc/self/mountinfo")
	assert.NilError(t, err)
	assert.Assert(t, !strings.Contains(string(data), home), "a mount is left")
}

func TestDamagedRecordsAreToldAndCanBeRemoved(t *testing.T) {
	for name, damage := range map[string]string{
		"empty": "", "garbage": "\x00\x00\x00", "version": `{"version":99}`, "parent": `{"version":1,"parent":"../../etc"}`, "missing": "-"} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			d := driverAt(t, home)
			assert.NilError(t, d.Create(t.Context(), "good", ""))
			assert.NilError(t, d.Create(t.Context(), "bad", ""))
			record := filepath.Join(d.dir("bad"), "layer.json")
			if damage == "-" {
				assert.NilError(t, os.Remove(record))
			} else {
				assert.NilError(t, os.WriteFile(record, []byte(damage), 0o600))
			}
			d = driverAt(t, home)
			_, err := d.Get(t.Context(), "bad")
			assert.Assert(t, errdefs.IsDataLoss(err), "%v", err)
			assert.ErrorContains(t, err, "bad")
			assert.Assert(t, d.Exists(t.Context(), "bad"))
			ids, err := d.List(t.Context())
			assert.NilError(t, err)
			assert.DeepEqual(t, ids, []string{"bad", "good"})
			_, err = d.Get(t.Context(), "good")
			assert.NilError(t, err)
			assert.NilError(t, d.Put(t.Context(), "bad"))
			assert.NilError(t, d.Remove(t.Context(), "bad"))
			assert.NilError(t, d.Create(t.Context(), "bad", "good"))
		})
	}
}

func TestMetadataAndStatusHaveDockersKeys(t *testing.T) {
	d := driver(t)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.Create(t.Context(), "next", "base"))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "next", nil))
	m, err := d.Metadata(t.Context(), "rw")
	assert.NilError(t, err)
	assert.DeepEqual(t, m, map[string]string{
		"LowerDir": d.diff("next") + ":" + d.diff("base"), "UpperDir": d.diff("rw"), "WorkDir": d.work("rw"), "MergedDir": d.merged("rw")})
	m, err = d.Metadata(t.Context(), "base")
	assert.NilError(t, err)
	_, ok := m["LowerDir"]
	assert.Assert(t, !ok)
	var keys []string
	for _, kv := range d.Status() {
		keys = append(keys, kv[0])
	}
	assert.DeepEqual(t, keys, []string{"Backing Filesystem", "Supports d_type", "Using metacopy", "Native Overlay Diff", "userxattr"})
}

// A container with CAP_MKNOD must not make whiteouts that the driver takes for its own.
func TestContainersCannotMakeWhiteouts(t *testing.T) {
	d := driver(t)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", nil))
	dir, err := d.Get(t.Context(), "rw")
	assert.NilError(t, err)
	defer d.Put(t.Context(), "rw")
	assert.ErrorIs(t, unix.Mknod(filepath.Join(dir, "w"), unix.S_IFCHR|0o600, 0), unix.EPERM)
	_ = unix.Setxattr(dir, "trusted.overlay.opaque", []byte("y"), 0)
	changes, err := d.Changes(t.Context(), "rw")
	assert.NilError(t, err)
	assert.Equal(t, len(changes), 0)
}

func TestAFailedCreateLeavesNothing(t *testing.T) {
	d := driver(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, d.Create(ctx, "a", ""), context.Canceled)
	entries, err := os.ReadDir(d.home)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 0)
}

func TestSyncTakesLayersWithFewAndManyFiles(t *testing.T) {
	d := driver(t)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", nil))
	dir, err := d.Get(t.Context(), "rw")
	assert.NilError(t, err)
	assert.NilError(t, os.Symlink("/absent", filepath.Join(dir, "ln")))
	assert.NilError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	assert.NilError(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	for i := range 2 * fewFiles {
		if i == 3 {
			assert.NilError(t, d.Sync(t.Context(), "rw"))
		}
		assert.NilError(t, os.WriteFile(filepath.Join(dir, "d", fmt.Sprint(i)), nil, 0o600))
	}
	assert.NilError(t, d.Sync(t.Context(), "rw"))
	assert.NilError(t, d.Put(t.Context(), "rw"))
	assert.NilError(t, d.Sync(t.Context(), "rw"))
}

// The contract lets callers serialise; one that does not must not leave a mount.
func TestGetsOfOneLayerAtOnceMountItOnce(t *testing.T) {
	d := driver(t)
	assert.NilError(t, d.Create(t.Context(), "base", ""))
	assert.NilError(t, d.CreateReadWrite(t.Context(), "rw", "base", nil))
	var wg sync.WaitGroup
	failed := make([]error, 20)
	for i := range failed {
		wg.Go(func() {
			for range 20 {
				_, err := d.Get(context.Background(), "rw")
				failed[i] = errors.Join(failed[i], err, d.Put(context.Background(), "rw"))
			}
		})
	}
	wg.Wait()
	assert.NilError(t, errors.Join(failed...))
	assert.Assert(t, !isMountpoint(d.merged("rw")))
	assert.Equal(t, len(d.users), 0)
	assert.Equal(t, len(d.turns.waiting), 0)
}
