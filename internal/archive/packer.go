package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Packer writes entries of a tar from open folders. It keeps hard links: a file
// that was written under another name before becomes a link to it. Times are cut
// to seconds, so that equal trees make equal archives.
type Packer struct {
	tar   *tar.Writer
	owner *Owner
	links map[inode]string
	buf   []byte
}

type inode struct {
	dev uint64
	ino uint64
}

// NewPacker makes a Packer that writes to w. owner, if not nil, replaces every
// file's own.
func NewPacker(w io.Writer, owner *Owner) *Packer {
	return &Packer{tar: tar.NewWriter(w), owner: owner, links: map[inode]string{}}
}

// Close writes the end mark. It does not close the writer.
func (p *Packer) Close() error {
	if p.buf != nil {
		copyBuffers.Put((*[1 << 20]byte)(p.buf))
		p.buf = nil
	}
	return p.tar.Close()
}

// Add writes the entry name, which is base in the open folder dirfd. Sockets are
// left out; of folders only the entry itself is written. A file that vanished is
// fs.ErrNotExist, as is one that is something else at every look.
func (p *Packer) Add(name string, dirfd int, base string) error {
	_, err := p.addNow(name, dirfd, base)
	return err
}

// addNow also tells whether the entry is a folder.
func (p *Packer) addNow(name string, dirfd int, base string) (isDir bool, err error) {
	for range 10 {
		var st unix.Stat_t
		if err := unix.Fstatat(dirfd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return false, &os.PathError{Op: "stat", Path: name, Err: err}
		}
		err := p.add(name, dirfd, base, &st)
		if err == errChanged {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("pack %q: %w", shorten(name), err)
		}
		return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
	}
	return false, &os.PathError{Op: "pack", Path: name, Err: os.ErrNotExist}
}

// errChanged is said, before anything is written, of what was replaced after it was looked at.
var errChanged = errors.New("it was replaced meanwhile")

// changed tells the errors of opening what has become something else.
func changed(err error) error {
	switch err {
	case unix.ENOTDIR, unix.ELOOP, unix.EINVAL, unix.ENXIO:
		return errChanged
	}
	return err
}

func (p *Packer) add(name string, dirfd int, base string, st *unix.Stat_t) error {
	hdr := &tar.Header{
		Format:  tar.FormatPAX,
		Name:    name,
		Mode:    int64(st.Mode & 0o7777),
		Uid:     int(st.Uid),
		Gid:     int(st.Gid),
		ModTime: time.Unix(st.Mtim.Sec, 0),
	}
	if p.owner != nil {
		hdr.Uid, hdr.Gid = p.owner.UID, p.owner.GID
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.addFile(hdr, dirfd, base)
	case unix.S_IFDIR:
		return p.addFolder(hdr, dirfd, base)
	case unix.S_IFLNK:
		target, err := ReadLink(dirfd, base)
		if err != nil {
			return changed(err)
		}
		hdr.Typeflag, hdr.Linkname = tar.TypeSymlink, target
	case unix.S_IFIFO:
		hdr.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		hdr.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			hdr.Typeflag = tar.TypeBlock
		}
		hdr.Devmajor, hdr.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		return nil
	}
	if p.linked(hdr, st) {
		hdr.Devmajor, hdr.Devminor = 0, 0
	}
	return p.tar.WriteHeader(hdr)
}

// linked makes hdr a hard link if the file has an entry already.
func (p *Packer) linked(hdr *tar.Header, st *unix.Stat_t) bool {
	if st.Nlink < 2 {
		return false
	}
	key := inode{st.Dev, st.Ino}
	if first, ok := p.links[key]; ok {
		hdr.Typeflag, hdr.Linkname, hdr.Size = tar.TypeLink, first, 0
		return true
	}
	p.links[key] = hdr.Name
	return false
}

func (p *Packer) addFolder(hdr *tar.Header, dirfd int, base string) error {
	hdr.Typeflag = tar.TypeDir
	if !strings.HasSuffix(hdr.Name, "/") {
		hdr.Name += "/"
	}
	fd, err := unix.Openat(dirfd, base, openFolder, 0)
	if err != nil {
		return changed(err)
	}
	defer unix.Close(fd)
	if err := p.setXattrs(hdr, fd); err != nil {
		return err
	}
	return p.tar.WriteHeader(hdr)
}

func (p *Packer) setXattrs(hdr *tar.Header, fd int) error {
	list, err := readXattrs(fd)
	for _, x := range list {
		if hdr.PAXRecords == nil {
			hdr.PAXRecords = map[string]string{}
		}
		hdr.PAXRecords[paxXattr+x.name] = x.value
	}
	return err
}

// addFile writes a regular file with as many bytes as it has when it is opened,
// whatever is done to it meanwhile: what is cut off is filled with zeros.
func (p *Packer) addFile(hdr *tar.Header, dirfd int, base string) error {
	// O_NONBLOCK: the name may lead to a pipe by now.
	fd, err := unix.Openat(dirfd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return changed(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errChanged
	}
	hdr.Typeflag, hdr.Size = tar.TypeReg, st.Size
	if p.linked(hdr, &st) {
		return p.tar.WriteHeader(hdr)
	}
	if err := p.setXattrs(hdr, fd); err != nil {
		return err
	}
	if err := p.tar.WriteHeader(hdr); err != nil {
		return err
	}
	if p.buf == nil {
		p.buf = copyBuffers.Get().(*[1 << 20]byte)[:]
	}
	for left := st.Size; left > 0; {
		part := p.buf[:min(left, int64(len(p.buf)))]
		n, err := unix.Read(fd, part)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			clear(part)
			n = len(part)
		}
		if _, err := p.tar.Write(part[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// Whiteout writes the mark for a name that the parents have and this layer
// removed, with the mode that Docker gives it.
func (p *Packer) Whiteout(name string) error {
	dir, base := split(name)
	if dir != "" {
		dir += "/"
	}
	return p.tar.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Mode: 0o600, Name: dir + whiteoutPrefix + base})
}

// Opaque writes the mark for a folder whose content in the parents does not
// show. As in Docker it has the folder's mode.
func (p *Packer) Opaque(dir string, mode uint32) error {
	if dir != "" {
		dir += "/"
	}
	return p.tar.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Mode: int64(mode & 0o777), Name: dir + whiteoutOpaque})
}
