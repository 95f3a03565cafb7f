package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Mount mounts a tmpfs at path, which is made. What an earlier life left there
// is taken away first.
func Mount(path string, sizeBytes int64) error {
	if err := Unmount(path); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	err := unix.Mount("shm", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, fmt.Sprintf("mode=1777,size=%d", sizeBytes))
	if err != nil {
		return errors.Join(&os.PathError{Op: "mount shared memory", Path: path, Err: err}, os.Remove(path))
	}
	return nil
}

// Unmount takes it away. Containers that have it mounted keep it as long as they
// live. What is not there is no error.
func Unmount(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err {
		case nil: // perhaps one of several
		case unix.ENOENT:
			return nil
		case unix.EINVAL: // nothing is mounted there
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		default:
			return &os.PathError{Op: "unmount shared memory", Path: path, Err: err}
		}
	}
}
