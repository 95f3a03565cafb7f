package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// entry makes one entry of the archive.
func (u *unpacker) entry(hdr *tar.Header) error {
	name, err := cleanName(hdr.Name)
	if err != nil {
		return err
	}
	m, err := u.metaOf(hdr)
	if err != nil {
		return err
	}
	if name == "" {
		return u.rootEntry(hdr, m)
	}
	if u.o.Whiteouts != Plain && strings.Contains(name, whiteoutPrefix) {
		if done, err := u.whiteoutEntry(name); done || err != nil {
			return err
		}
	}
	dir, base := split(name)
	switch hdr.Typeflag {
	case tar.TypeDir:
		err = u.makeFolder(dir, base, name, m)
	case tar.TypeReg, '\x00', tar.TypeCont, tar.TypeGNUSparse:
		err = u.makeFile(dir, base, hdr, m)
	case tar.TypeLink:
		err = u.makeLink(dir, base, name, hdr.Linkname)
	case tar.TypeSymlink:
		if hdr.Linkname == "" || len(hdr.Linkname) > maxName-1 {
			return errs.Invalid("symbolic link to a name of %d bytes", len(hdr.Linkname))
		}
		err = u.makeOther(dir, base, m, func(parent int) error {
			return unix.Symlinkat(hdr.Linkname, parent, base)
		})
		u.result.Bytes += int64(len(hdr.Linkname))
	case tar.TypeFifo:
		err = u.makeOther(dir, base, m, func(parent int) error {
			return unix.Mknodat(parent, base, unix.S_IFIFO|m.mode, 0)
		})
	case tar.TypeChar, tar.TypeBlock:
		err = u.makeDevice(dir, base, hdr, m)
	default:
		return errs.Invalid("entry of unknown type %q", hdr.Typeflag)
	}
	if err == nil && u.o.Whiteouts == Apply {
		u.made.addWithParents(name)
	}
	return err
}

// meta is what every entry has beside its content.
type meta struct {
	mode   uint32 // permission bits, set-id and sticky bits
	uid    int
	gid    int
	times  [2]unix.Timespec
	xattrs []xattr
	link   bool // a symbolic link: it has no mode
}

func (u *unpacker) metaOf(hdr *tar.Header) (meta, error) {
	const maxID = math.MaxUint32 - 1
	m := meta{mode: uint32(hdr.Mode & 0o7777), uid: hdr.Uid, gid: hdr.Gid, link: hdr.Typeflag == tar.TypeSymlink}
	if hdr.Uid < 0 || hdr.Gid < 0 || hdr.Uid > maxID || hdr.Gid > maxID {
		return m, errs.Invalid("owner %d:%d is out of range", hdr.Uid, hdr.Gid)
	}
	if u.o.Owner != nil {
		m.uid, m.gid = u.o.Owner.UID, u.o.Owner.GID
	}
	m.times[1] = timespec(hdr.ModTime)
	m.times[0] = m.times[1]
	if hdr.AccessTime.Unix() > 0 {
		m.times[0] = timespec(hdr.AccessTime)
	}
	var err error
	m.xattrs, err = xattrsOf(hdr)
	return m, err
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// rootEntry is the entry "." or "/". It never changes what the root is.
func (u *unpacker) rootEntry(hdr *tar.Header, m meta) error {
	if hdr.Typeflag != tar.TypeDir {
		return errs.Invalid("the root itself can only be a folder")
	}
	u.result.Root = true
	if !u.o.RootEntry {
		return nil
	}
	l, err := u.level("")
	if err != nil {
		return err
	}
	m.mode &= 0o1777
	return u.finishFolder(l, m)
}

func (u *unpacker) makeFolder(dir, base, name string, m meta) error {
	parent, err := u.folder(dir)
	if err != nil {
		return err
	}
	hides := false
	for try := 0; ; try++ {
		err = retry(func() error { return unix.Mkdirat(parent, base, u.firstMode(m, 0o700)) })
		if err == nil {
			break
		}
		if err != unix.EEXIST || try == 3 {
			return &os.PathError{Op: "mkdir", Path: base, Err: err}
		}
		var st unix.Stat_t
		if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "stat", Path: base, Err: err}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			break
		}
		// What the parents have under this name stays hidden.
		hides = hides || u.o.Whiteouts == Overlay && isWhiteout(&st)
		if err := u.makeWay(parent, base, false); err != nil {
			return err
		}
	}
	l, err := u.level(name)
	if err != nil {
		return err
	}
	if hides {
		if err := setOpaque(l.fd); err != nil {
			return err
		}
	}
	if !u.keepTimes {
		u.dirs.add(name)
	}
	return u.finishFolder(l, m)
}

// finishFolder gives an open folder its metadata. Its times and, without
// privileges, its mode are set when it is left.
func (u *unpacker) finishFolder(l *level, m meta) error {
	was := l.was
	l.was = nil
	if err := u.chown(l.fd, was, m); err != nil {
		return err
	}
	mode := m.mode
	l.mode = nil
	if !u.privileged && mode&0o700 != 0o700 {
		l.mode = &m.mode
		mode |= 0o700
	}
	if err := chmod(l.fd, was, mode); err != nil {
		return &os.PathError{Op: "chmod", Path: l.path, Err: err}
	}
	l.times = &m.times
	return setXattrs(l.fd, m.xattrs, true)
}

// firstMode is the mode that something is made with: what it ends with where nobody watches, so that there is
// nothing left to change as a rule, else one that keeps others out until it has its owner.
func (u *unpacker) firstMode(m meta, closed uint32) uint32 {
	if u.keepTimes && u.privileged {
		return m.mode & 0o777
	}
	return closed
}

// chown gives an open file its owner. was is what it is, nil if that is not known.
func (u *unpacker) chown(fd int, was *unix.Stat_t, m meta) error {
	if u.o.NoOwner || was != nil && was.Uid == uint32(m.uid) && was.Gid == uint32(m.gid) {
		return nil
	}
	if err := unix.Fchown(fd, m.uid, m.gid); err != nil {
		return fmt.Errorf("give to %d:%d: %w", m.uid, m.gid, err)
	}
	return nil
}

// chmod gives an open file its mode. What chown takes away, set-id bits, it never had before: was still holds.
func chmod(fd int, was *unix.Stat_t, mode uint32) error {
	if was != nil && was.Mode&0o7777 == mode && mode&0o7000 == 0 {
		return nil
	}
	return unix.Fchmod(fd, mode)
}

// create calls f, which makes base in parent, and removes what is in its place.
func (u *unpacker) create(parent int, base string, f func() error) error {
	for try := 0; ; try++ {
		err := retry(f)
		if err != unix.EEXIST || try == 3 {
			return err
		}
		if err := u.makeWay(parent, base, true); err != nil {
			return err
		}
	}
}

func (u *unpacker) makeFile(dir, base string, hdr *tar.Header, m meta) error {
	sparse := isSparse(hdr)
	limit := u.o.MaxBytes
	if limit <= 0 && sparse {
		limit = maxSparse
	}
	if limit > 0 && hdr.Size > limit-u.result.Bytes {
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
	}
	parent, err := u.folder(dir)
	if err != nil {
		return err
	}
	var fd int
	err = u.create(parent, base, func() (err error) {
		fd, err = unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, u.firstMode(m, 0o600))
		return err
	})
	if err != nil {
		return &os.PathError{Op: "create", Path: base, Err: err}
	}
	defer unix.Close(fd)
	if err := u.copy(fd, hdr.Size, sparse); err != nil {
		return err
	}
	u.result.Bytes += hdr.Size
	var was *unix.Stat_t
	if u.keepTimes {
		// To ask is cheaper than to set what it is anyway. It need not be: there are umasks, and folders that
		// pass a group or an ACL on.
		was = new(unix.Stat_t)
		if err := unix.Fstat(fd, was); err != nil {
			return &os.PathError{Op: "stat", Path: base, Err: err}
		}
	}
	if err := u.chown(fd, was, m); err != nil {
		return err
	}
	// After chown, which takes set-id bits and capabilities away.
	if err := chmod(fd, was, m.mode); err != nil {
		return &os.PathError{Op: "chmod", Path: base, Err: err}
	}
	if err := setXattrs(fd, m.xattrs, false); err != nil {
		return err
	}
	return futimens(fd, &m.times)
}

func isSparse(hdr *tar.Header) bool {
	if hdr.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range hdr.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// copy writes the content of the current entry. Holes stay holes.
func (u *unpacker) copy(fd int, size int64, sparse bool) error {
	var off int64
	for off < size {
		n, err := u.tar.Read(u.buf[:min(int64(len(u.buf)), size-off)])
		if n > 0 {
			if sparse && allZero(u.buf[:n]) {
				_, werr := unix.Seek(fd, int64(n), unix.SEEK_CUR)
				if werr != nil {
					return werr
				}
			} else if werr := writeAll(fd, u.buf[:n]); werr != nil {
				return werr
			}
			off += int64(n)
		}
		if off < size && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return readError(u.last, err)
		}
	}
	if sparse {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func (u *unpacker) makeLink(dir, base, name, linkname string) error {
	target, err := cleanName(linkname)
	if err != nil {
		return fmt.Errorf("hard link: %w", err)
	}
	if target == name {
		return nil
	}
	if target == "" {
		return errs.Invalid("hard link to the root")
	}
	tdir, tbase := split(target)
	from, err := u.existing(tdir)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(linkname), linkError(err))
	}
	defer unix.Close(from)
	parent, err := u.folder(dir)
	if err != nil {
		return err
	}
	var want, have unix.Stat_t
	if err := unix.Fstatat(from, tbase, &want, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(linkname), linkError(err))
	}
	if want.Mode&unix.S_IFMT == unix.S_IFDIR {
		return errs.Invalid("hard link to the folder %q", shorten(linkname))
	}
	if unix.Fstatat(parent, base, &have, unix.AT_SYMLINK_NOFOLLOW) == nil && have.Ino == want.Ino && have.Dev == want.Dev {
		return nil
	}
	err = u.create(parent, base, func() error { return unix.Linkat(from, tbase, parent, base, 0) })
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(linkname), linkError(err))
	}
	return nil
}

// linkError makes the archive's fault of a missing target.
func linkError(err error) error {
	if os.IsNotExist(err) {
		return errs.Invalid("no such entry before this one")
	}
	return err
}

func (u *unpacker) makeDevice(dir, base string, hdr *tar.Header, m meta) error {
	if hdr.Devmajor < 0 || hdr.Devmajor > 0xfff || hdr.Devminor < 0 || hdr.Devminor > 0xfffff {
		return errs.Invalid("device number %d:%d is out of range", hdr.Devmajor, hdr.Devminor)
	}
	switch u.o.Devices {
	case RefuseDevices:
		return errs.Invalid("device nodes are not allowed here")
	case SkipDevices:
		return nil
	}
	kind := uint32(unix.S_IFCHR)
	if hdr.Typeflag == tar.TypeBlock {
		kind = unix.S_IFBLK
	}
	dev := int(unix.Mkdev(uint32(hdr.Devmajor), uint32(hdr.Devminor)))
	return u.makeOther(dir, base, m, func(parent int) error {
		return unix.Mknodat(parent, base, kind|m.mode, dev)
	})
}

// makeOther makes what is not opened: links, pipes, devices.
func (u *unpacker) makeOther(dir, base string, m meta, f func(parent int) error) error {
	parent, err := u.folder(dir)
	if err != nil {
		return err
	}
	if err := u.create(parent, base, func() error { return f(parent) }); err != nil {
		return &os.PathError{Op: "create", Path: base, Err: err}
	}
	if !u.o.NoOwner {
		if err := unix.Fchownat(parent, base, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("give to %d:%d: %w", m.uid, m.gid, err)
		}
	}
	if !m.link {
		if err := chmodNoFollow(parent, base, m.mode); err != nil {
			return &os.PathError{Op: "chmod", Path: base, Err: err}
		}
	}
	return unix.UtimesNanoAt(parent, base, m.times[:], unix.AT_SYMLINK_NOFOLLOW)
}
