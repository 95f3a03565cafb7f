package graphtest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/overlay2"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/internal/archive"
)

// broken is vfs with one promise broken. Each function, if set, stands in for a method.
type broken struct {
	graphdriver.Driver
	create    func(d graphdriver.Driver, ctx context.Context, id, parent string) error
	createRW  func(d graphdriver.Driver, ctx context.Context, id, parent string, opts map[string]string) error
	remove    func(d graphdriver.Driver, ctx context.Context, id string) error
	get       func(d graphdriver.Driver, ctx context.Context, id string) (string, error)
	put       func(d graphdriver.Driver, ctx context.Context, id string) error
	exists    func(d graphdriver.Driver, ctx context.Context, id string) bool
	parent    func(d graphdriver.Driver, ctx context.Context, id string) (string, error)
	metadata  func(d graphdriver.Driver, ctx context.Context, id string) (map[string]string, error)
	diff      func(d graphdriver.Driver, ctx context.Context, id string) (io.ReadCloser, error)
	changes   func(d graphdriver.Driver, ctx context.Context, id string) ([]graphdriver.Change, error)
	applyDiff func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error)
	diffSize  func(d graphdriver.Driver, ctx context.Context, id string) (int64, error)
	cleanup   func(d graphdriver.Driver) error
}

func (b broken) Create(ctx context.Context, id, parent string) error {
	if b.create != nil {
		return b.create(b.Driver, ctx, id, parent)
	}
	return b.Driver.Create(ctx, id, parent)
}

func (b broken) CreateReadWrite(ctx context.Context, id, parent string, opts map[string]string) error {
	if b.createRW != nil {
		return b.createRW(b.Driver, ctx, id, parent, opts)
	}
	return b.Driver.CreateReadWrite(ctx, id, parent, opts)
}

func (b broken) Remove(ctx context.Context, id string) error {
	if b.remove != nil {
		return b.remove(b.Driver, ctx, id)
	}
	return b.Driver.Remove(ctx, id)
}

func (b broken) Get(ctx context.Context, id string) (string, error) {
	if b.get != nil {
		return b.get(b.Driver, ctx, id)
	}
	return b.Driver.Get(ctx, id)
}

func (b broken) Put(ctx context.Context, id string) error {
	if b.put != nil {
		return b.put(b.Driver, ctx, id)
	}
	return b.Driver.Put(ctx, id)
}

func (b broken) Exists(ctx context.Context, id string) bool {
	if b.exists != nil {
		return b.exists(b.Driver, ctx, id)
	}
	return b.Driver.Exists(ctx, id)
}

func (b broken) Parent(ctx context.Context, id string) (string, error) {
	if b.parent != nil {
		return b.parent(b.Driver, ctx, id)
	}
	return b.Driver.Parent(ctx, id)
}

func (b broken) Metadata(ctx context.Context, id string) (map[string]string, error) {
	if b.metadata != nil {
		return b.metadata(b.Driver, ctx, id)
	}
	return b.Driver.Metadata(ctx, id)
}

func (b broken) Diff(ctx context.Context, id string) (io.ReadCloser, error) {
	if b.diff != nil {
		return b.diff(b.Driver, ctx, id)
	}
	return b.Driver.Diff(ctx, id)
}

func (b broken) Changes(ctx context.Context, id string) ([]graphdriver.Change, error) {
	if b.changes != nil {
		return b.changes(b.Driver, ctx, id)
	}
	return b.Driver.Changes(ctx, id)
}

func (b broken) ApplyDiff(ctx context.Context, id string, diff io.Reader) (int64, error) {
	if b.applyDiff != nil {
		return b.applyDiff(b.Driver, ctx, id, diff)
	}
	return b.Driver.ApplyDiff(ctx, id, diff)
}

func (b broken) DiffSize(ctx context.Context, id string) (int64, error) {
	if b.diffSize != nil {
		return b.diffSize(b.Driver, ctx, id)
	}
	return b.Driver.DiffSize(ctx, id)
}

func (b broken) Cleanup() error {
	if b.cleanup != nil {
		return b.cleanup(b.Driver)
	}
	return b.Driver.Cleanup()
}

// unpackWith is ApplyDiff with other options than the naive ones.
func unpackWith(o archive.UnpackOptions) func(graphdriver.Driver, context.Context, string, io.Reader) (int64, error) {
	return func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
		dir, err := d.Get(ctx, id)
		if err != nil {
			return 0, err
		}
		o.NoOwner = os.Geteuid() != 0
		if o.NoOwner {
			o.Devices = archive.SkipDevices
		}
		done, err := archive.Unpack(ctx, dir, diff, o)
		return done.Bytes, err
	}
}

// faults are drivers that are broken on purpose, with the row that must tell.
var faults = []struct {
	name   string
	row    string
	driver broken
}{
	{"sees layers that are not there", "CreateMakesLayer", broken{
		exists: func(graphdriver.Driver, context.Context, string) bool { return true }}},
	{"forgets parents", "CreateMakesLayer", broken{
		parent: func(d graphdriver.Driver, ctx context.Context, id string) (string, error) {
			_, err := d.Parent(ctx, id)
			return "", err
		}}},
	{"creates twice", "CreateExisting", broken{
		create: func(d graphdriver.Driver, ctx context.Context, id, parent string) error {
			if d.Exists(ctx, id) {
				return nil
			}
			return d.Create(ctx, id, parent)
		}}},
	{"gives its own error for existing layers", "CreateExisting", broken{
		create: func(d graphdriver.Driver, ctx context.Context, id, parent string) error {
			if d.Exists(ctx, id) {
				return errors.New("layer exists")
			}
			return d.Create(ctx, id, parent)
		}}},
	{"creates above nothing", "CreateAboveNothing", broken{
		create: func(d graphdriver.Driver, ctx context.Context, id, parent string) error {
			if !d.Exists(ctx, parent) {
				parent = ""
			}
			return d.Create(ctx, id, parent)
		}}},
	{"cleans ids instead of refusing them", "BadIDs", broken{
		create: func(d graphdriver.Driver, ctx context.Context, id, parent string) error {
			return d.Create(ctx, strings.Trim(filepath.Base(id), "."), parent)
		},
		createRW: func(d graphdriver.Driver, ctx context.Context, id, parent string, opts map[string]string) error {
			return d.CreateReadWrite(ctx, strings.Trim(filepath.Base(id), ".")+"x", parent, opts)
		}}},
	{"takes any option", "UnknownOption", broken{
		createRW: func(d graphdriver.Driver, ctx context.Context, id, parent string, _ map[string]string) error {
			return d.CreateReadWrite(ctx, id, parent, nil)
		}}},
	{"fails to remove absent layers", "AbsentLayer", broken{
		remove: func(d graphdriver.Driver, ctx context.Context, id string) error {
			if !d.Exists(ctx, id) {
				return graphdriver.ErrNotFound
			}
			return d.Remove(ctx, id)
		}}},
	{"has metadata of absent layers", "AbsentLayer", broken{
		metadata: func(graphdriver.Driver, context.Context, string) (map[string]string, error) {
			return map[string]string{}, nil
		}}},
	{"keeps removed layers", "Remove", broken{
		remove: func(graphdriver.Driver, context.Context, string) error { return nil }}},
	{"gives relative paths", "ParentsShow", broken{
		get: func(d graphdriver.Driver, ctx context.Context, id string) (string, error) {
			dir, err := d.Get(ctx, id)
			return strings.TrimPrefix(dir, "/"), err
		}}},
	{"refuses a Put without a Get", "PutWithoutGet", broken{
		put: func(graphdriver.Driver, context.Context, string) error { return errors.New("not in use") }}},
	{"shows the parent instead of the layer", "WritesArePrivate", broken{
		get: func(d graphdriver.Driver, ctx context.Context, id string) (string, error) {
			if parent, err := d.Parent(ctx, id); err == nil && parent != "" {
				return d.Get(ctx, parent)
			}
			return d.Get(ctx, id)
		}}},
	{"shows no parents", "ParentsShow", broken{
		create: func(d graphdriver.Driver, ctx context.Context, id, _ string) error { return d.Create(ctx, id, "") }}},
	{"ignores whiteouts", "WhiteoutHides", broken{applyDiff: unpackWith(archive.UnpackOptions{RootEntry: true})}},
	{"ignores the root's entry", "RootAttributes", broken{applyDiff: unpackWith(archive.UnpackOptions{Whiteouts: archive.Apply})}},
	{"loses folders' times", "ApplyKeepsMetadata", broken{
		applyDiff: func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
			n, err := d.ApplyDiff(ctx, id, diff)
			if dir, gerr := d.Get(ctx, id); gerr == nil {
				os.Mkdir(filepath.Join(dir, "d/tmp"), 0o700)
				os.Remove(filepath.Join(dir, "d/tmp"))
			}
			return n, err
		}}},
	{"counts the archive's bytes, not the files'", "ApplySize", broken{
		applyDiff: func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
			n, err := d.ApplyDiff(ctx, id, diff)
			return n + 512, err
		}}},
	{"stops at the end mark", "ApplyReadsToEnd", broken{
		applyDiff: func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
			return d.ApplyDiff(ctx, id, io.LimitReader(diff, 2048))
		}}},
	{"takes half an archive", "TruncatedIsRefused", broken{
		applyDiff: func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
			n, err := d.ApplyDiff(ctx, id, diff)
			if errors.Is(err, archive.ErrTruncated) {
				err = nil
			}
			return n, err
		}}},
	{"hides why it failed", "ReadErrorIsTold", broken{
		applyDiff: func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
			n, err := d.ApplyDiff(ctx, id, diff)
			if err != nil && !errors.Is(err, graphdriver.ErrNotFound) {
				err = errors.New("it failed")
			}
			return n, err
		}}},
	{"cannot be cancelled", "ApplyStops", broken{
		applyDiff: func(d graphdriver.Driver, _ context.Context, id string, diff io.Reader) (int64, error) {
			return d.ApplyDiff(context.Background(), id, diff)
		}}},
	{"strips names to make them fit", "BreakoutIsRefused", broken{
		applyDiff: func(d graphdriver.Driver, ctx context.Context, id string, diff io.Reader) (int64, error) {
			n, err := d.ApplyDiff(ctx, id, diff)
			if errors.Is(err, graphdriver.ErrBreakout) {
				err = nil
			}
			return n, err
		}}},
	{"sorts nothing", "Changes", broken{
		changes: func(d graphdriver.Driver, ctx context.Context, id string) ([]graphdriver.Change, error) {
			list, err := d.Changes(ctx, id)
			slices.Reverse(list)
			return list, err
		}}},
	{"lists no deletions", "Changes", broken{
		changes: func(d graphdriver.Driver, ctx context.Context, id string) ([]graphdriver.Change, error) {
			list, err := d.Changes(ctx, id)
			return slices.DeleteFunc(list, func(c graphdriver.Change) bool { return c.Kind == graphdriver.Deleted }), err
		}}},
	{"gives the whole tree as its diff", "DiffInUse", broken{
		diff: func(d graphdriver.Driver, ctx context.Context, id string) (io.ReadCloser, error) {
			dir, err := d.Get(ctx, id)
			if err != nil {
				return nil, err
			}
			r, w := io.Pipe()
			go func() { w.CloseWithError(archive.Pack(ctx, w, dir, archive.PackOptions{})) }()
			return r, nil
		}}},
	{"forgets deletions in its diff", "DiffRoundTrip", broken{
		diff: func(d graphdriver.Driver, ctx context.Context, id string) (io.ReadCloser, error) {
			dir, err := d.Get(ctx, id)
			if err != nil {
				return nil, err
			}
			r, w := io.Pipe()
			go func() { w.CloseWithError(archive.Pack(ctx, w, dir, archive.PackOptions{})) }()
			return r, nil
		}}},
	{"ends a cancelled diff quietly", "DiffGivenUp", broken{
		diff: func(d graphdriver.Driver, _ context.Context, id string) (io.ReadCloser, error) {
			return d.Diff(context.Background(), id)
		}}},
	{"adds up what was there before", "DiffSize", broken{
		diffSize: func(d graphdriver.Driver, ctx context.Context, id string) (int64, error) {
			n, err := d.DiffSize(ctx, id)
			if parent, perr := d.Parent(ctx, id); perr == nil && parent != "" {
				m, _ := d.DiffSize(ctx, parent)
				n += m
			}
			return n, err
		}}},
	{"leaves files in its home", "HomeHoldsNoMore", broken{
		remove: func(d graphdriver.Driver, ctx context.Context, id string) error {
			dir, _ := d.Get(ctx, id)
			err := d.Remove(ctx, id)
			if dir != "" {
				os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(dir)), "removed-"+id), nil, 0o600)
			}
			return err
		}}},
}

func TestSuiteFindsDriversThatAreBroken(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			i := slices.IndexFunc(Rows(), func(r Row) bool { return r.Name == f.row })
			assert.Assert(t, i >= 0, "there is no row %s", f.row)
			err := Rows()[i].Check(t.TempDir(), func(home string) (graphdriver.Driver, error) {
				d, err := vfs.New(graphdriver.Options{Home: home})
				if err != nil {
					return nil, err
				}
				b := f.driver
				b.Driver = d
				return b, nil
			})
			assert.Assert(t, err != nil, "row %s finds no fault in a driver that %s", f.row, f.name)
			t.Log(err)
		})
	}
}

func TestSuiteFindsDriversThatForgetAtRestart(t *testing.T) {
	homes := 0
	open := func(home string) (graphdriver.Driver, error) {
		homes++
		return vfs.New(graphdriver.Options{Home: filepath.Join(home, string(rune('a'+homes)))})
	}
	for _, row := range restartRows()[:1] {
		assert.Assert(t, row.Check(t.TempDir(), open) != nil)
	}
}

func TestRowsHaveNamesAndReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rows() {
		assert.Assert(t, r.Name != "" && r.Why != "" && !seen[r.Name], r.Name)
		seen[r.Name] = true
	}
}

// The wrapper that the faults are put into is itself a good driver.
func TestContractOfTheUnbrokenWrapper(t *testing.T) {
	Run(t, func(home string) (graphdriver.Driver, error) {
		d, err := vfs.New(graphdriver.Options{Home: home})
		return broken{Driver: d}, err
	})
}

func TestSuiteFindsDriversThatMountBadly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, f := range []struct {
		name, row string
		driver    broken
	}{
		{"counts no Gets", "GetIsCounted", broken{
			put: func(d graphdriver.Driver, ctx context.Context, id string) error {
				return errors.Join(d.Put(ctx, id), d.Put(ctx, id))
			}}},
		{"keeps its mounts", "WritesStay", broken{
			put: func(graphdriver.Driver, context.Context, string) error { return nil }}},
		{"does not see a former process's mounts", "MountsAreGivenBack", broken{
			put: func(graphdriver.Driver, context.Context, string) error { return nil }}},
		{"unmounts everything at its end", "UsedLayersOutliveCleanup", broken{
			cleanup: func(d graphdriver.Driver) error {
				return errors.Join(d.Put(context.Background(), "rw"), d.Cleanup())
			}}},
	} {
		t.Run(f.name, func(t *testing.T) {
			i := slices.IndexFunc(Rows(), func(r Row) bool { return r.Name == f.row })
			err := Rows()[i].Check(t.TempDir(), func(home string) (graphdriver.Driver, error) {
				d, err := overlay2.New(graphdriver.Options{Home: home})
				if err != nil {
					return nil, err
				}
				b := f.driver
				b.Driver = d
				return b, nil
			})
			if errors.Is(err, graphdriver.ErrNotSupported) {
				t.Skip(err)
			}
			assert.Assert(t, err != nil, "row %s finds no fault in a driver that %s", f.row, f.name)
			t.Log(err)
		})
	}
}
