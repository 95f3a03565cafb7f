package overlay2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/rmtree"
)

const (
	newPrefix   = ".new-"
	trashPrefix = ".trash-"
	checkPrefix = ".check-"
	linksPrefix = ".links-"

	// maxLowers is the kernel's OVL_MAX_STACK.
	maxLowers = 500
)

// Driver is the overlay2 driver. Its methods beyond graphdriver.Driver are
// Capabilities, List, OwnFiles, Sync and those of graphdriver.Remapper.
type Driver struct {
	home   string
	fs     durable.FS
	host   host
	turns  turns
	sweep  sync.WaitGroup // removal of what killed processes left
	mu     sync.Mutex     // guards the maps, never held across the disk
	layers map[string]record
	users  map[string]int // Gets without a Put

	remapped map[string]string // layers that GetRemapped shows, and where
}

var (
	_ graphdriver.Driver   = (*Driver)(nil)
	_ graphdriver.Capable  = (*Driver)(nil)
	_ graphdriver.Lister   = (*Driver)(nil)
	_ graphdriver.Syncer   = (*Driver)(nil)
	_ graphdriver.OwnFiles = (*Driver)(nil)
	_ graphdriver.New      = New
)

// New opens the driver. It mounts a small overlay to see that this host and file
// system can have it. There are no options yet.
func New(o graphdriver.Options) (graphdriver.Driver, error) {
	if err := graphdriver.CheckOptions("overlay2", o.Options); err != nil {
		return nil, err
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o710); err != nil {
		return nil, err
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		return nil, err
	}
	d := &Driver{home: home, fs: o.FileSystem(), layers: map[string]record{}, users: map[string]int{}, remapped: map[string]string{}}
	if d.host, err = probe(home); err != nil {
		return nil, err
	}
	return d, d.removeLeftovers()
}

// removeLeftovers finishes in the background what a killed process began. No
// layer has such a name, so nobody waits for it but Cleanup.
func (d *Driver) removeLeftovers() error {
	entries, err := os.ReadDir(d.home)
	if err != nil {
		return err
	}
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			left = append(left, filepath.Join(d.home, e.Name()))
		}
	}
	if len(left) == 0 {
		return nil
	}
	// At once, so that a layer of the same name can be made meanwhile.
	for i, path := range left {
		trash := filepath.Join(d.home, fmt.Sprintf("%sleft-%d-%d", trashPrefix, os.Getpid(), i))
		if err := os.Rename(path, trash); err == nil {
			left[i] = trash
		}
	}
	d.sweep.Go(func() {
		for _, path := range left {
			for _, merged := range []string{"merged", "."} {
				unix.Unmount(filepath.Join(path, merged), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			}
			// What cannot be removed now is tried again at the next start.
			_ = rmtree.Path(path)
		}
	})
	return nil
}

func (d *Driver) dir(id string) string    { return filepath.Join(d.home, id) }
func (d *Driver) diff(id string) string   { return filepath.Join(d.home, id, "diff") }
func (d *Driver) work(id string) string   { return filepath.Join(d.home, id, "work") }
func (d *Driver) merged(id string) string { return filepath.Join(d.home, id, "merged") }

// Create makes an empty layer that ApplyDiff fills.
func (d *Driver) Create(ctx context.Context, id, parent string) error {
	return d.create(ctx, id, record{Parent: parent, Size: unknownSize})
}

// CreateReadWrite makes a writable layer. Its option "volatile" ("true" or
// "false") leaves out all syncing of what is written to it: for containers that
// nobody will look for after a power cut.
func (d *Driver) CreateReadWrite(ctx context.Context, id, parent string, opts map[string]string) error {
	if _, ok := opts["size"]; ok {
		return errs.Invalid("overlay2: storage option size is not supported: it needs project quotas")
	}
	if err := graphdriver.CheckOptions("overlay2", opts, "volatile"); err != nil {
		return err
	}
	r := record{Parent: parent, Size: unknownSize, ReadWrite: true}
	if v, ok := opts["volatile"]; ok {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return errs.Invalid("overlay2: storage option volatile: %q is neither true nor false", v)
		}
		r.Volatile = b && d.host.volatile
	}
	return d.create(ctx, id, r)
}

func (d *Driver) create(ctx context.Context, id string, r record) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	defer d.turns.take(id)()
	if d.present(id) {
		return fmt.Errorf("%s: %w", id, graphdriver.ErrExists)
	}
	root := rootAttributes{mode: 0o755}
	if r.Parent != "" {
		lowers, err := d.chain(r.Parent)
		if err != nil {
			return fmt.Errorf("parent: %w", err)
		}
		limit := d.host.maxLowers()
		most := limit
		if !r.ReadWrite {
			most-- // it is a lower folder itself when it is shown
		}
		if len(lowers) > most {
			return errs.Invalid("overlay2: more than %d layers above one another", limit)
		}
		if root, err = d.rootOf(r.Parent); err != nil {
			return fmt.Errorf("parent: %w", err)
		}
	}
	tmp := filepath.Join(d.home, newPrefix+id)
	err := d.makeLayer(tmp, r, root)
	if err == nil {
		err = failpoint.Hit(failpoint.GraphCreate)
	}
	if err == nil {
		err = d.fs.Rename(tmp, d.dir(id)) // it is our turn, so nobody else has made it meanwhile
	}
	if err != nil {
		_ = d.fs.RemoveAll(tmp) // the first error is the one to tell
		return fmt.Errorf("create layer %s: %w", id, err)
	}
	d.mu.Lock()
	d.layers[id] = r
	d.mu.Unlock()
	return nil
}

func (d *Driver) makeLayer(dir string, r record, root rootAttributes) error {
	err := d.fs.Mkdir(dir, 0o710)
	if errors.Is(err, fs.ErrExist) { // a removal that could not finish
		if err = d.fs.RemoveAll(dir); err == nil {
			err = d.fs.Mkdir(dir, 0o710)
		}
	}
	if err != nil {
		return err
	}
	names := []string{"diff", "merged"}
	if r.ReadWrite {
		names = append(names, "work")
	}
	for _, name := range names {
		if err := d.fs.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	if err := root.set(filepath.Join(dir, "diff")); err != nil {
		return err
	}
	return r.write(d.fs, dir)
}

// Remove deletes a layer. It is renamed first: a layer is there or it is not.
func (d *Driver) Remove(_ context.Context, id string) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	defer d.turns.take(id)()
	d.mu.Lock()
	elsewhere := d.remapped[id]
	delete(d.users, id)
	delete(d.layers, id)
	delete(d.remapped, id)
	d.mu.Unlock()
	if elsewhere != "" {
		if err := unmount(elsewhere); err != nil {
			return err
		}
	}
	if err := unmount(d.merged(id)); err != nil {
		return err
	}
	trash := filepath.Join(d.home, trashPrefix+id)
	err := d.fs.Rename(d.dir(id), trash)
	if errors.Is(err, fs.ErrExist) { // a Remove that could not finish
		if err := d.fs.RemoveAll(trash); err != nil {
			return err
		}
		err = d.fs.Rename(d.dir(id), trash)
	}
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

// Exists tells whether a layer is there.
func (d *Driver) Exists(_ context.Context, id string) bool { return d.present(id) }

func (d *Driver) present(id string) bool {
	if !graphdriver.ValidID(id) {
		return false
	}
	d.mu.Lock()
	_, ok := d.layers[id]
	d.mu.Unlock()
	if ok {
		return true
	}
	var st unix.Stat_t
	return unix.Lstat(d.dir(id), &st) == nil
}

// Parent gives the id of a layer's parent.
func (d *Driver) Parent(_ context.Context, id string) (string, error) {
	r, err := d.load(id)
	return r.Parent, err
}

// List names all layers.
func (d *Driver) List(context.Context) ([]string, error) { return graphdriver.FoldersOfLayers(d.home) }

// OwnFiles gives the folder with the files of a layer alone.
func (d *Driver) OwnFiles(_ context.Context, id string) (string, error) {
	if _, err := d.load(id); err != nil {
		return "", err
	}
	return d.diff(id), nil
}

// Capabilities: layers are independent, and only writable ones are mounted writable.
func (d *Driver) Capabilities() graphdriver.Capabilities {
	return graphdriver.Capabilities{IndependentLayers: true, ReadOnlyRoot: true}
}

// Status gives the pairs that `docker info` shows.
func (d *Driver) Status() [][2]string {
	return [][2]string{
		{"Backing Filesystem", d.host.backing},
		{"Supports d_type", "true"},
		{"Using metacopy", "false"},
		{"Native Overlay Diff", "true"},
		{"userxattr", "false"},
	}
}

// Metadata gives the folders of a layer under the keys that docker has.
func (d *Driver) Metadata(_ context.Context, id string) (map[string]string, error) {
	r, err := d.load(id)
	if err != nil {
		return nil, err
	}
	m := map[string]string{
		"UpperDir":  d.diff(id),
		"WorkDir":   d.work(id),
		"MergedDir": d.merged(id),
	}
	if r.Parent != "" {
		lowers, err := d.chain(r.Parent)
		if err != nil {
			return nil, err
		}
		m["LowerDir"] = strings.Join(lowers, ":")
	}
	return m, nil
}

// Cleanup waits for the removal of leftovers. Mounts in use stay: containers run on.
func (d *Driver) Cleanup() error {
	d.sweep.Wait()
	return nil
}
