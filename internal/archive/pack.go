package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// maxDepth bounds trees that are walked; each level holds a descriptor.
const maxDepth = 1000

// PackOptions says how a tree becomes an archive.
type PackOptions struct {
	// Name is what the tree's own entry is called, and the first part of all
	// others' names. "" leaves the entry of the tree itself out.
	Name string
	// Owner replaces every file's own.
	Owner *Owner
}

// Pack writes the folder or file at path as an uncompressed tar to w: names
// sorted within each folder, hard links, attributes, pipes and device nodes kept,
// sockets left out, other mounts' content included. No link is followed, but the
// folders that lead to path are. What vanishes meanwhile is left out.
func Pack(ctx context.Context, w io.Writer, path string, o PackOptions) error {
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer unix.Close(parent)
	return PackAt(ctx, w, parent, filepath.Base(path), o)
}

// PackAt is Pack for base in the open folder dirfd.
func PackAt(ctx context.Context, w io.Writer, dirfd int, base string, o PackOptions) error {
	p := NewPacker(w, o.Owner)
	err := packTree(ctx, p, dirfd, base, o.Name, 0)
	if e := p.Close(); err == nil {
		err = e
	}
	return err
}

func packTree(ctx context.Context, p *Packer, dirfd int, base, name string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return errs.Invalid("folders are nested more than %d deep", maxDepth)
	}
	if name != "" {
		isDir, err := p.addNow(name, dirfd, base)
		if err != nil || !isDir {
			return err
		}
	}
	fd, err := unix.Openat(dirfd, base, openFolder, 0)
	if name != "" && err != nil && changed(err) == errChanged {
		return nil // what was in the folder vanished with it
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	names, err := ReadNames(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		child := n
		if name != "" {
			child = name + "/" + n
		}
		if err := packTree(ctx, p, fd, n, child, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
