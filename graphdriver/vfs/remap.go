package vfs

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
)

var _ graphdriver.Remapper = (*trees)(nil)

// CanRemap maps the ids of a copy of home's mount, which shows whether its file system can.
func (d *trees) CanRemap(m graphdriver.IDMap) error {
	mnt, err := m.CloneMount(d.home)
	if err != nil {
		return fmt.Errorf("vfs in %s: %w: %w", d.home, graphdriver.ErrNoRemap, err)
	}
	return mnt.Close()
}

// GetRemapped binds the layer's tree to dir, with the ids of m.
func (d *trees) GetRemapped(_ context.Context, id, dir string, m graphdriver.IDMap) error {
	if _, err := d.load(id); err != nil {
		return err
	}
	if isMountpoint(dir) {
		return nil
	}
	mnt, err := m.CloneMount(d.root(id))
	if err != nil {
		return err
	}
	defer mnt.Close()
	if err := unix.MoveMount(int(mnt.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move mount to", Path: dir, Err: err}
	}
	return nil
}

// PutRemapped takes the bind away.
func (d *trees) PutRemapped(_ context.Context, id, dir string) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return &os.PathError{Op: "unmount", Path: dir, Err: err}
	}
	return nil
}

func isMountpoint(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
