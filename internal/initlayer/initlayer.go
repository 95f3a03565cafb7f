// Package initlayer fills the layer between an image and its containers: the
// places that the runtime mounts over or that each container owns. Because they
// are there already, neither the runtime nor the engine writes into a container's
// own layer, and they stay out of its diff and of images that are committed.
package initlayer

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

type kind int

const (
	parent kind = iota // a folder that others lie in; a link to one will do
	folder
	file
	link
)

// place is one thing that every container has.
type place struct {
	path string
	kind kind
}

// places are docker's, in the order in which they are made.
var places = [...]place{
	{"dev", parent},
	{"dev/pts", folder},
	{"dev/shm", folder},
	{"dev/console", file},
	{"proc", folder},
	{"sys", folder},
	{"etc", parent},
	{"etc/hosts", file},
	{"etc/hostname", file},
	{"etc/resolv.conf", file},
	{"etc/mtab", link},
	{".dockerenv", file},
}

// Docker's, too: what mtab leads to, and the mode of folders and files.
const (
	mtab = "/proc/mounts"
	mode = 0o755
)

// Populate makes the places in the tree dir, the merged tree of a writable layer.
// As with docker, files become empty files and mtab a link, whatever the image
// has there; folders that are in a file's place stay. The image's folders stay,
// too. Links to /etc and /dev are followed inside dir and never out of it; in the
// other places a link is replaced, so that no mount follows it.
func Populate(dir string) error {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the init layer %s: %w", dir, err)
	}
	defer unix.Close(root)
	for _, p := range places {
		if err := p.make(root); err != nil {
			return fmt.Errorf("prepare /%s of the image: %w", p.path, err)
		}
	}
	return nil
}

// openInRoot opens a folder of the tree with all links resolved inside it.
func openInRoot(root int, path string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(root, path, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

func (p place) make(root int) error {
	dir, base := ".", p.path
	if i := strings.LastIndexByte(p.path, '/'); i >= 0 {
		dir, base = p.path[:i], p.path[i+1:]
	}
	dirfd, err := openInRoot(root, dir)
	if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	switch p.kind {
	case parent:
		if fd, err := openInRoot(root, p.path); err == nil {
			return unix.Close(fd)
		}
		return makeFolder(dirfd, base)
	case folder:
		return makeFolder(dirfd, base)
	case file:
		return makeFile(dirfd, base)
	default:
		return makeLink(dirfd, base)
	}
}

// unlink removes what is there, but no folder.
func unlink(dirfd int, base string) error {
	err := unix.Unlinkat(dirfd, base, 0)
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EISDIR) {
		return nil
	}
	return err
}

func makeFolder(dirfd int, base string) error {
	fd, err := openFolder(dirfd, base)
	if err == nil {
		return unix.Close(fd)
	}
	if err := unlink(dirfd, base); err != nil {
		return err
	}
	if err := unix.Mkdirat(dirfd, base, mode); err != nil {
		return err
	}
	if fd, err = openFolder(dirfd, base); err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, mode) // whatever the umask is
}

func openFolder(dirfd int, base string) (int, error) {
	return unix.Openat(dirfd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func makeFile(dirfd int, base string) error {
	if err := unlink(dirfd, base); err != nil {
		return err
	}
	fd, err := unix.Openat(dirfd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if errors.Is(err, unix.EEXIST) {
		return nil // a folder
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, mode)
}

func makeLink(dirfd int, base string) error {
	if err := unlink(dirfd, base); err != nil {
		return err
	}
	err := unix.Symlinkat(mtab, dirfd, base)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
