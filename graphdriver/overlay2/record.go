package overlay2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// recordVersion is the format of layer.json.
const recordVersion = 1

// unknownSize stands for a layer that was not filled by ApplyDiff.
const unknownSize = -1

// record is layer.json. It changes once, at the end of ApplyDiff.
type record struct {
	Version   int    `json:"version"`
	Parent    string `json:"parent,omitempty"`
	ReadWrite bool   `json:"readWrite,omitempty"`
	Volatile  bool   `json:"volatile,omitempty"`
	Size      int64  `json:"sizeBytes"`      // of the files in diff, unknownSize if not counted
	Root      bool   `json:"root,omitempty"` // the layer sets its root folder's mode and owner
}

// write puts the record into the layer's folder. Sync makes it durable.
func (r record) write(fsys durable.FS, dir string) error {
	r.Version = recordVersion
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "layer.json.new")
	f, err := fsys.Create(tmp, 0o600)
	if errors.Is(err, fs.ErrExist) { // of one that was killed
		if err = fsys.Remove(tmp); err == nil {
			f, err = fsys.Create(tmp, 0o600)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return fsys.Rename(tmp, filepath.Join(dir, "layer.json"))
}

// load gives the record of a layer. ErrNotFound; damaged records are data loss.
func (d *Driver) load(id string) (record, error) {
	d.mu.Lock()
	r, ok := d.layers[id]
	d.mu.Unlock()
	if ok {
		return r, nil
	}
	if err := graphdriver.CheckID(id); err != nil {
		return record{}, err
	}
	data, err := durable.Read(durable.OS, filepath.Join(d.dir(id), "layer.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.present(id):
		return record{}, errs.DataLoss("layer %s is damaged: its record is missing", id)
	case errors.Is(err, fs.ErrNotExist):
		return record{}, fmt.Errorf("%s: %w", id, graphdriver.ErrNotFound)
	case err != nil:
		return record{}, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, errs.DataLoss("layer %s is damaged: its record: %v", id, err)
	}
	if r.Version != recordVersion {
		return record{}, errs.DataLoss("layer %s: its record has version %d, this program knows %d", id, r.Version, recordVersion)
	}
	if r.Parent != "" && !graphdriver.ValidID(r.Parent) {
		return record{}, errs.DataLoss("layer %s is damaged: its record names the parent %q", id, r.Parent)
	}
	d.mu.Lock()
	d.layers[id] = r
	d.mu.Unlock()
	return r, nil
}

// chain gives the diff folders of a layer and its parents, from the top down.
func (d *Driver) chain(id string) ([]string, error) {
	var dirs []string
	for id != "" {
		if len(dirs) > 10*maxLowers {
			return nil, errs.DataLoss("layer %s: its parents form a circle", id)
		}
		r, err := d.load(id)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, d.diff(id))
		id = r.Parent
	}
	return dirs, nil
}

// rootAttributes are what a layer's root folder shows when it is on top.
type rootAttributes struct {
	mode     uint32
	uid, gid int
}

// rootOf gives the attributes that the uppermost layer at or below id sets.
// overlayfs takes those of the topmost folder, so every layer repeats them.
func (d *Driver) rootOf(id string) (rootAttributes, error) {
	for {
		r, err := d.load(id)
		if err != nil {
			return rootAttributes{}, err
		}
		if r.Root || r.ReadWrite || r.Parent == "" {
			return rootAt(d.diff(id))
		}
		id = r.Parent
	}
}

// inheritRoot gives a layer that says nothing of its root folder the attributes
// that its parents say by now; they may have been filled after it was made.
func (d *Driver) inheritRoot(id string, r record) error {
	if r.Root {
		return nil
	}
	want, err := d.rootOf(r.Parent)
	if err != nil {
		return err
	}
	have, err := rootAt(d.diff(id))
	if err != nil || have == want {
		return err
	}
	if err := want.set(d.diff(id)); err != nil && !errors.Is(err, unix.EROFS) {
		return err
	}
	return nil
}

func rootAt(dir string) (rootAttributes, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return rootAttributes{}, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return rootAttributes{st.Mode & 0o7777, int(st.Uid), int(st.Gid)}, nil
}

func (a rootAttributes) set(dir string) error {
	if err := unix.Lchown(dir, a.uid, a.gid); err != nil {
		return &os.PathError{Op: "chown", Path: dir, Err: err}
	}
	if err := unix.Chmod(dir, a.mode); err != nil {
		return &os.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return nil
}
