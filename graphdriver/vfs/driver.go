package vfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/rmtree"
)

const (
	newPrefix   = ".new-"
	trashPrefix = ".trash-"
)

// recordVersion is the format of layer.json.
const recordVersion = 1

type record struct {
	Version int    `json:"version"`
	Parent  string `json:"parent,omitempty"`
}

// Driver is the vfs driver.
type Driver struct {
	graphdriver.Differ
	*trees
}

var (
	_ graphdriver.Driver = Driver{}
	_ graphdriver.Lister = Driver{}
	_ graphdriver.Syncer = Driver{}
	_ graphdriver.New    = New
)

// New opens the driver. It has no options.
func New(o graphdriver.Options) (graphdriver.Driver, error) {
	if err := graphdriver.CheckOptions("vfs", o.Options); err != nil {
		return nil, err
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o710); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			// What cannot be removed now, on a read-only disk, is tried again at the next start.
			_ = rmtree.Path(filepath.Join(home, e.Name()))
		}
	}
	t := &trees{home: home, fs: o.FileSystem()}
	return Driver{graphdriver.NewNaive(t), t}, nil
}

// trees keeps the whole trees; all it knows is on the disk.
type trees struct {
	home string
	fs   durable.FS
}

func (d *trees) dir(id string) string  { return filepath.Join(d.home, id) }
func (d *trees) root(id string) string { return filepath.Join(d.home, id, "root") }

func (d *trees) Create(ctx context.Context, id, parent string) error {
	return d.create(ctx, id, parent)
}

func (d *trees) CreateReadWrite(ctx context.Context, id, parent string, opts map[string]string) error {
	if err := graphdriver.CheckOptions("vfs", opts); err != nil {
		return err
	}
	return d.create(ctx, id, parent)
}

func (d *trees) create(ctx context.Context, id, parent string) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	if d.Exists(ctx, id) {
		return fmt.Errorf("%s: %w", id, graphdriver.ErrExists)
	}
	if parent != "" {
		if _, err := d.load(parent); err != nil {
			return fmt.Errorf("parent: %w", err)
		}
	}
	tmp := filepath.Join(d.home, newPrefix+id)
	err := d.fs.RemoveAll(tmp)
	if err == nil {
		err = d.fill(ctx, tmp, parent)
	}
	if err == nil {
		err = failpoint.Hit(failpoint.GraphCreate)
	}
	if err == nil {
		err = d.fs.Rename(tmp, d.dir(id))
	}
	if err != nil {
		_ = d.fs.RemoveAll(tmp) // the first error is the one to tell
		return fmt.Errorf("create layer %s: %w", id, err)
	}
	return nil
}

func (d *trees) fill(ctx context.Context, tmp, parent string) error {
	root := filepath.Join(tmp, "root")
	if err := d.fs.Mkdir(tmp, 0o710); err != nil {
		return err
	}
	if err := d.fs.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(root, 0o755); err != nil { // whatever the umask
		return err
	}
	if parent != "" {
		if err := archive.CopyTree(ctx, root, d.root(parent)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(record{recordVersion, parent})
	if err != nil {
		return err
	}
	return durable.WriteNew(d.fs, filepath.Join(tmp, "layer.json"), append(data, '\n'), 0o600)
}

func (d *trees) load(id string) (record, error) {
	if err := graphdriver.CheckID(id); err != nil {
		return record{}, err
	}
	data, err := durable.Read(durable.OS, filepath.Join(d.dir(id), "layer.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.Exists(context.Background(), id):
		return record{}, errs.DataLoss("layer %s is damaged: its record is missing", id)
	case errors.Is(err, fs.ErrNotExist):
		return record{}, fmt.Errorf("%s: %w", id, graphdriver.ErrNotFound)
	case err != nil:
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, errs.DataLoss("layer %s is damaged: its record: %v", id, err)
	}
	if r.Version != recordVersion {
		return record{}, errs.DataLoss("layer %s: its record has version %d, this program knows %d", id, r.Version, recordVersion)
	}
	if r.Parent != "" && !graphdriver.ValidID(r.Parent) {
		return record{}, errs.DataLoss("layer %s is damaged: its record names the parent %q", id, r.Parent)
	}
	return r, nil
}

func (d *trees) Remove(_ context.Context, id string) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	trash := filepath.Join(d.home, trashPrefix+id)
	if err := d.fs.RemoveAll(trash); err != nil {
		return err
	}
	err := d.fs.Rename(d.dir(id), trash)
	if durable.IsFull(err) {
		return d.fs.RemoveAll(d.dir(id)) // on a full disk not even a name can be had
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := failpoint.Hit(failpoint.GraphRemove); err != nil {
		return err
	}
	return d.fs.RemoveAll(trash)
}

// Get gives the tree itself: nothing is mounted, so nothing is counted.
func (d *trees) Get(_ context.Context, id string) (string, error) {
	if _, err := d.load(id); err != nil {
		return "", err
	}
	if err := failpoint.Hit(failpoint.GraphMount); err != nil {
		return "", err
	}
	return d.root(id), nil
}

func (d *trees) Put(_ context.Context, id string) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	if !d.Exists(context.Background(), id) {
		return fmt.Errorf("%s: %w", id, graphdriver.ErrNotFound)
	}
	return nil
}

func (d *trees) Exists(_ context.Context, id string) bool {
	if !graphdriver.ValidID(id) {
		return false
	}
	_, err := os.Lstat(d.dir(id))
	return err == nil
}

func (d *trees) Parent(_ context.Context, id string) (string, error) {
	r, err := d.load(id)
	return r.Parent, err
}

func (d *trees) List(context.Context) ([]string, error) { return graphdriver.FoldersOfLayers(d.home) }

func (d *trees) Status() [][2]string { return nil }

func (d *trees) Metadata(_ context.Context, id string) (map[string]string, error) {
	if _, err := d.load(id); err != nil {
		return nil, err
	}
	return map[string]string{}, nil
}

// Sync writes out the file system that the layer is on.
func (d *trees) Sync(_ context.Context, id string) error {
	if _, err := d.load(id); err != nil {
		return err
	}
	f, err := os.Open(d.dir(id))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func (d *trees) Cleanup() error { return nil }
