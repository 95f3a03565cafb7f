package overlay2

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Sync makes a layer durable. For one that was filled with many files it is
// cheapest to write out the whole file system; of a writable one only the fact
// that it exists is made durable, its files are when it is unmounted.
func (d *Driver) Sync(_ context.Context, id string) error {
	r, err := d.load(id)
	if err != nil {
		return err
	}
	if r.ReadWrite {
		for _, path := range []string{filepath.Join(d.dir(id), "layer.json"), d.dir(id), d.home} {
			if err := fsync(path, unix.Fsync); err != nil {
				return err
			}
		}
		return nil
	}
	return fsync(d.dir(id), unix.Syncfs)
}

func fsync(path string, sync func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if err := sync(fd); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
