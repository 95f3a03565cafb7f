package archive

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// paxXattr is the prefix of the records that hold extended attributes.
const paxXattr = "SCHILY.xattr."

const capabilityXattr = "security.capability"

type xattr struct{ name, value string }

// keptXattr tells which attributes travel in archives. trusted.* steers overlayfs
// and is not an archive's to set; security.selinux and its like belong to the host.
func keptXattr(name string) bool {
	return strings.HasPrefix(name, "user.") && len(name) > len("user.") || name == capabilityXattr ||
		name == "system.posix_acl_access" || name == "system.posix_acl_default"
}

func xattrsOf(hdr *tar.Header) ([]xattr, error) {
	var list []xattr
	for k, value := range hdr.PAXRecords {
		name, ok := strings.CutPrefix(k, paxXattr)
		if !ok || !keptXattr(name) {
			continue
		}
		if name == capabilityXattr {
			if hdr.Typeflag == tar.TypeDir || hdr.Typeflag == tar.TypeSymlink {
				continue
			}
			if !validCapability(value) {
				return nil, errs.Invalid("malformed %s", capabilityXattr)
			}
		}
		list = append(list, xattr{name, value})
	}
	return list, nil
}

// validCapability checks size and version of a file capability (linux/capability.h,
// struct vfs_cap_data).
func validCapability(value string) bool {
	if len(value) < 4 {
		return false
	}
	switch binary.LittleEndian.Uint32([]byte(value)) >> 24 {
	case 2:
		return len(value) == 20
	case 3:
		return len(value) == 24
	}
	return false
}

// setXattrs sets what the file system can hold; one that has no attributes of a
// kind at all is not the archive's fault.
func setXattrs(fd int, list []xattr, folder bool) error {
	for _, x := range list {
		if x.name == "system.posix_acl_default" && !folder {
			continue
		}
		err := retry(func() error { return unix.Fsetxattr(fd, x.name, []byte(x.value), 0) })
		switch {
		case err == nil || err == unix.ENOTSUP:
		case err == unix.EPERM && x.name == capabilityXattr: // without privileges
		default:
			return fmt.Errorf("set %s: %w", x.name, err)
		}
	}
	return nil
}

// readXattrs gives the attributes of an open file that travel in archives, sorted.
func readXattrs(fd int) ([]xattr, error) {
	var small [512]byte
	buf := small[:]
	n, err := unix.Flistxattr(fd, buf)
	for err == unix.ERANGE {
		if n, err = unix.Flistxattr(fd, nil); err == nil {
			buf = make([]byte, n+256)
			n, err = unix.Flistxattr(fd, buf)
		}
	}
	if err == unix.ENOTSUP || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	var list []xattr
	for name := range strings.SplitSeq(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if !keptXattr(name) {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(fd, name, value)
		if err == unix.ENODATA {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", name, err)
		}
		list = append(list, xattr{name, string(value[:n])})
	}
	return list, nil
}

// Attributes gives the extended attributes of name, a regular file or folder in
// the open folder dirfd, that travel in archives, in one piece to be compared;
// nothing for what is neither.
func Attributes(dirfd int, name string) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return nil, nil
	}
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	list, err := readXattrs(fd)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b xattr) int { return strings.Compare(a.name, b.name) })
	return fmt.Appendf(nil, "%q", list), nil
}
