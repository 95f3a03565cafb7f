// Package rmtree removes folders whose content nobody trusts: it never follows
// a link, holds few descriptors however deep the tree is, and clears the
// immutable and append-only flags that a privileged container may have set.
package rmtree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxDepth is how many folders are held open at once. What lies deeper is moved
// up to the top first, so that a tree of any depth can be removed.
const maxDepth = 64

// Path removes path and everything below it. An absent path is not an error.
func Path(path string) error {
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer unix.Close(parent)
	if err := At(parent, filepath.Base(path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// At removes name in the folder dirfd and everything below it. An absent name is
// not an error.
func At(dirfd int, name string) error {
	r := remover{top: -1}
	for {
		err := r.remove(dirfd, name, 0)
		if r.top >= 0 {
			unix.Close(r.top)
			r.top = -1
		}
		// Each pass that moved something up shortens the tree by maxDepth levels.
		if err == nil && r.moved == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.ENOTEMPTY) || r.moved == 0 {
			return err
		}
		r.moved = 0
	}
}

type remover struct {
	top   int // the folder that deep ones are moved to, -1 for none yet
	moved int
	next  int
}

func (r *remover) remove(dirfd int, name string, depth int) error {
	err := unlink(dirfd, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return &os.PathError{Op: "unlink", Path: name, Err: err}
	}
	fd, oerr := openDir(dirfd, name)
	if oerr != nil {
		if oerr == unix.ENOENT {
			return nil
		}
		if err == unix.EPERM { // not a folder: unlink's refusal is the reason
			return &os.PathError{Op: "unlink", Path: name, Err: err}
		}
		return &os.PathError{Op: "open", Path: name, Err: oerr}
	}
	if depth == 0 {
		r.top, _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	}
	err = r.empty(fd, depth)
	unix.Close(fd)
	if err != nil {
		return err
	}
	if err := unlink(dirfd, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "rmdir", Path: name, Err: err}
	}
	return nil
}

// empty removes the entries of the folder fd.
func (r *remover) empty(fd, depth int) error {
	buf := make([]byte, 8<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read folder: %w", err)
		}
		if n == 0 {
			return nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		removed := 0
		for _, name := range names {
			if depth >= maxDepth {
				if err := r.lift(fd, name); err != nil {
					return err
				}
			} else if err := r.remove(fd, name, depth+1); err != nil {
				return err
			}
			removed++
		}
		// Reading on after removals may skip entries on some file systems.
		if removed > 0 {
			if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
				return err
			}
		}
	}
}

// lift moves an entry that lies too deep to the top of the tree.
func (r *remover) lift(fd int, name string) error {
	err := unlink(fd, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	r.moved++
	for {
		r.next++
		err := unix.Renameat2(fd, name, r.top, ".rmtree-"+strconv.Itoa(r.next), unix.RENAME_NOREPLACE)
		if err == unix.EEXIST {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "rename", Path: name, Err: err}
		}
		return nil
	}
}

// unlink is unlinkat, once more without the flags that forbid it.
func unlink(dirfd int, name string, flags int) error {
	err := retry(func() error { return unix.Unlinkat(dirfd, name, flags) })
	if err != unix.EPERM {
		return err
	}
	var st unix.Stat_t
	if unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return err
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir && flags&unix.AT_REMOVEDIR == 0 {
		return unix.EISDIR
	}
	// The flag may sit on the entry or on its folder.
	self := st.Mode&unix.S_IFMT == unix.S_IFREG || isDir
	if !(self && clearFlags(dirfd, name)) && !clearFlags(dirfd, ".") {
		return err
	}
	clearFlags(dirfd, ".")
	return retry(func() error { return unix.Unlinkat(dirfd, name, flags) })
}

// clearFlags takes away "immutable" and "append only"; true if one was there.
func clearFlags(dirfd int, name string) bool {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	const forbid = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND // the same bits as FS_*_FL
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&forbid == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags&^forbid)) == nil
}

// openDir opens a folder that its owner may have made unreadable for himself.
func openDir(dirfd int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dirfd, name, flags, 0)
	if err == nil && os.Geteuid() != 0 {
		unix.Fchmod(fd, 0o700)
	}
	if err != unix.EACCES {
		return fd, err
	}
	p, perr := unix.Openat(dirfd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if perr != nil {
		return -1, err
	}
	defer unix.Close(p)
	if unix.Chmod("/proc/self/fd/"+strconv.Itoa(p), 0o700) != nil {
		return -1, err
	}
	return unix.Openat(dirfd, name, flags, 0)
}

func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
