package archive

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/rmtree"
)

// makeWay removes what has the name of a new entry. byFile: the new one is not a folder.
func (u *unpacker) makeWay(parent int, base string, byFile bool) error {
	var st unix.Stat_t
	err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "stat", Path: base, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	if u.o.NoOverwriteDirNonDir && (kind == unix.S_IFDIR) == byFile {
		if byFile {
			return errs.Invalid("cannot overwrite directory %q with non-directory", base)
		}
		return errs.Invalid("cannot overwrite non-directory %q with directory", base)
	}
	return u.remove(parent, base, kind)
}

// remove deletes base and, if it is a folder, what is in it.
func (u *unpacker) remove(parent int, base string, kind uint32) error {
	if kind == unix.S_IFDIR || kind == unix.S_IFLNK {
		u.removedFolder()
	}
	return rmtree.At(parent, base)
}

// chmodNoFollow sets the mode of what may be a pipe or a device, which must not
// be opened. It is known not to be a link, but must stay safe if it becomes one.
func chmodNoFollow(parent int, base string, mode uint32) error {
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}
