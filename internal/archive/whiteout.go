package archive

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// The names of AUFS, which image-spec keeps (layer.md, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// overlayOpaque is the attribute of folders that hide what the parents have below them.
const overlayOpaque = "trusted.overlay.opaque"

// whiteoutEntry handles an entry whose name speaks of whiteouts; done is false if
// it is an ordinary one after all. Only the name counts, not the entry's type. A
// whiteout never touches what its own archive holds, whatever comes first.
func (u *unpacker) whiteoutEntry(name string) (done bool, err error) {
	dir, base := split(name)
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, whiteoutMeta) {
			return true, nil
		}
		if strings.HasPrefix(part, whiteoutPrefix) {
			return true, errs.Invalid("a whiteout is used as a folder")
		}
	}
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return false, nil
	}
	if base == whiteoutOpaque {
		return true, u.opaqueFolder(dir)
	}
	if strings.HasPrefix(base, whiteoutMeta) {
		return true, nil
	}
	hidden := base[len(whiteoutPrefix):]
	if hidden == "" || hidden == "." || hidden == ".." {
		return true, errs.Invalid("a whiteout of %q", hidden)
	}
	path := hidden
	if dir != "" {
		path = dir + "/" + hidden
	}
	parent, err := u.folder(dir)
	if err != nil {
		return true, err
	}
	if u.o.Whiteouts == Apply {
		return true, u.applyWhiteout(parent, hidden, path)
	}
	return true, u.markWhiteout(parent, hidden, path)
}

// opaqueFolder hides what the parents have in dir.
func (u *unpacker) opaqueFolder(dir string) error {
	fd, err := u.folder(dir)
	if err != nil {
		return err
	}
	if u.o.Whiteouts == Apply {
		return u.removeOlder(fd, dir)
	}
	return setOpaque(fd)
}

func (u *unpacker) markWhiteout(parent int, hidden, path string) error {
	err := retry(func() error { return unix.Mknodat(parent, hidden, unix.S_IFCHR, 0) })
	if err != unix.EEXIST {
		if err != nil {
			return &os.PathError{Op: "make whiteout", Path: hidden, Err: err}
		}
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, hidden, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: hidden, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return u.opaqueFolder(path)
	}
	return nil
}

func (u *unpacker) applyWhiteout(parent int, hidden, path string) error {
	var st unix.Stat_t
	err := unix.Fstatat(parent, hidden, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "stat", Path: hidden, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	if !u.made.has(path) {
		return u.remove(parent, hidden, kind)
	}
	if kind == unix.S_IFDIR {
		return u.opaqueFolder(path)
	}
	return nil
}

// removeOlder removes from the folder fd what this archive did not make.
func (u *unpacker) removeOlder(fd int, dir string) error {
	names, err := ReadNames(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := name
		if dir != "" {
			path = dir + "/" + name
		}
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
		kind := st.Mode & unix.S_IFMT
		if !u.made.has(path) {
			if err := u.remove(fd, name, kind); err != nil {
				return err
			}
			continue
		}
		if kind != unix.S_IFDIR {
			continue
		}
		child, err := unix.Openat(fd, name, openFolder, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		err = u.removeOlder(child, path)
		unix.Close(child)
		if err != nil {
			return err
		}
	}
	return nil
}

func setOpaque(fd int) error {
	if err := unix.Fsetxattr(fd, overlayOpaque, []byte("y"), 0); err != nil {
		return &os.PathError{Op: "set", Path: overlayOpaque, Err: err}
	}
	return nil
}

func hasWhiteout(dirfd int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && isWhiteout(&st)
}
