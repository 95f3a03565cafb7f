package overlay2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fewFiles is up to how many files are synced one by one. Beyond that it is
// cheaper to write out the whole file system.
const fewFiles = 64

// Sync makes a layer durable: the fact that it is there, and its files. The files
// of a volatile layer are left out, as its owner asked for.
func (d *Driver) Sync(_ context.Context, id string) error {
	r, err := d.load(id)
	if err != nil {
		return err
	}
	if !r.ReadWrite {
		return syncPath(d.dir(id), unix.Syncfs)
	}
	if !r.Volatile {
		switch err := d.syncFiles(id); {
		case errors.Is(err, errManyFiles):
			return syncPath(d.dir(id), unix.Syncfs)
		case err != nil:
			return err
		}
	}
	if err := syncPath(filepath.Join(d.dir(id), "layer.json"), unix.Fsync); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.dir(id)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.home)
}

var errManyFiles = errors.New("too many files to be synced one by one")

// syncFiles syncs what is in a layer's own folder. Links and devices have no
// content; their names are in the folders.
func (d *Driver) syncFiles(id string) error {
	fd, err := unix.Open(d.dir(id), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: d.dir(id), Err: err}
	}
	defer unix.Close(fd)
	n := 0
	err = walk(fd, "diff", "", func(dirfd int, e entry) error {
		if n++; n > fewFiles {
			return errManyFiles
		}
		if kind := e.st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
			return nil
		}
		return syncAt(dirfd, e.name, unix.Fsync)
	})
	if err != nil {
		return err
	}
	return syncAt(fd, "diff", unix.Fsync)
}

func syncPath(path string, call func(fd int) error) error { return syncAt(unix.AT_FDCWD, path, call) }

func syncAt(dirfd int, name string, call func(fd int) error) error {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if err := call(fd); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}
