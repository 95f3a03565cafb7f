package archive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// CopyTree copies the folder src, with its own mode, owner and times, to the
// folder dst, which exists and is empty: hard links, attributes, pipes and device
// nodes kept, sockets left out, no link followed. File contents are shared where
// the file system can do so. Without privileges owners are not kept and device
// nodes are left out.
func CopyTree(ctx context.Context, dst, src string) error {
	from, err := unix.Open(src, openFolder, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: src, Err: err}
	}
	defer unix.Close(from)
	to, err := unix.Open(dst, openFolder, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dst, Err: err}
	}
	defer unix.Close(to)
	c := treeCopy{root: to, privileged: os.Geteuid() == 0, links: map[inode]string{}}
	if err := c.folder(ctx, from, to, "", 0); err != nil {
		return fmt.Errorf("copy %s: %w", src, err)
	}
	return nil
}

type treeCopy struct {
	root       int
	privileged bool
	links      map[inode]string
}

func (c *treeCopy) folder(ctx context.Context, from, to int, path string, depth int) error {
	if depth > maxDepth {
		return errs.Invalid("folders are nested more than %d deep", maxDepth)
	}
	names, err := ReadNames(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		child := filepath.Join(path, name)
		if err := c.entry(ctx, from, to, name, child, depth); err != nil {
			return fmt.Errorf("%s: %w", child, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	return c.finish(from, to, &st)
}

func (c *treeCopy) entry(ctx context.Context, from, to int, name, path string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err == unix.ENOENT {
			return nil
		}
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFDIR && st.Nlink > 1 {
		key := inode{st.Dev, st.Ino}
		if first, ok := c.links[key]; ok {
			return unix.Linkat(c.root, first, to, name, 0)
		}
		defer func() { c.links[key] = path }()
	}
	switch kind {
	case unix.S_IFREG:
		return c.file(from, to, name)
	case unix.S_IFDIR:
		if err := unix.Mkdirat(to, name, 0o700); err != nil {
			return err
		}
		child, err := unix.Openat(from, name, openFolder, 0)
		if err != nil {
			return err
		}
		defer unix.Close(child)
		target, err := unix.Openat(to, name, openFolder, 0)
		if err != nil {
			return err
		}
		defer unix.Close(target)
		return c.folder(ctx, child, target, path, depth+1)
	case unix.S_IFLNK:
		text, err := ReadLink(from, name)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(text, to, name); err != nil {
			return err
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		if !c.privileged {
			return nil
		}
		fallthrough
	case unix.S_IFIFO:
		if err := unix.Mknodat(to, name, kind|0o600, int(st.Rdev)); err != nil {
			return err
		}
	default:
		return nil
	}
	if c.privileged {
		if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if kind != unix.S_IFLNK {
		if err := chmodNoFollow(to, name, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c *treeCopy) file(from, to int, name string) error {
	in, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	var st unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	out, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	if st.Size > 0 && unix.IoctlFileClone(out, in) != nil {
		if err := copyContent(out, in); err != nil {
			return err
		}
	}
	return c.finish(in, out, &st)
}

// copyContent copies in the kernel where it can.
func copyContent(out, in int) error {
	for copied := false; ; copied = true {
		n, err := unix.CopyFileRange(in, nil, out, nil, 1<<30, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil && !copied {
			break // not between these two
		}
		if err != nil || n == 0 {
			return err
		}
	}
	buf := copyBuffers.Get().(*[1 << 20]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := unix.Read(in, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		if err := writeAll(out, buf[:n]); err != nil {
			return err
		}
	}
}

// finish gives the open file or folder to what from has, times last.
func (c *treeCopy) finish(from, to int, st *unix.Stat_t) error {
	if c.privileged {
		if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	xattrs, err := readXattrs(from)
	if err != nil {
		return err
	}
	if err := setXattrs(to, xattrs, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return err
	}
	return futimens(to, &[2]unix.Timespec{st.Atim, st.Mtim})
}
