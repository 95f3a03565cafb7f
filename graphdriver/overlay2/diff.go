package overlay2

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
)

// Diff packs the layer's own folder, overlayfs' marks turned into AUFS'.
func (d *Driver) Diff(ctx context.Context, id string) (io.ReadCloser, error) {
	r, err := d.load(id)
	if err != nil {
		return nil, err
	}
	withRoot, err := d.changesRoot(id, r)
	if err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	go func() {
		pw.CloseWithError(pack(ctx, pw, d.dir(id), withRoot))
	}()
	return pr, nil
}

// changesRoot tells whether the layer's root folder shows other attributes than
// its parents'.
func (d *Driver) changesRoot(id string, r record) (bool, error) {
	before := rootAttributes{mode: 0o755}
	if r.Parent != "" {
		var err error
		if before, err = d.rootOf(r.Parent); err != nil {
			return false, err
		}
	}
	now, err := rootAt(d.diff(id))
	if err != nil {
		return false, err
	}
	return now != before && (r.Root || r.ReadWrite), nil
}

func pack(ctx context.Context, w io.Writer, dir string, withRoot bool) error {
	p := archive.NewPacker(w, nil)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if withRoot {
		if err := p.Add("./", fd, "diff"); err != nil {
			return err
		}
	}
	err = walk(fd, "diff", "", func(dirfd int, e entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.whiteout() {
			return p.Whiteout(e.path)
		}
		if err := p.Add(e.path, dirfd, e.name); err != nil {
			return err
		}
		if e.opaque {
			return p.Opaque(e.path, e.st.Mode)
		}
		return nil
	})
	if e := p.Close(); err == nil {
		err = e
	}
	return err
}

// entry is something in a layer's own folder.
type entry struct {
	path   string // within the layer, no leading slash
	name   string
	st     unix.Stat_t
	opaque bool
}

func (e *entry) isDir() bool    { return e.st.Mode&unix.S_IFMT == unix.S_IFDIR }
func (e *entry) whiteout() bool { return isWhiteout(&e.st) }

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// maxDepth bounds the walk; each level holds a descriptor.
const maxDepth = 1000

var errSkipFolder = errors.New("do not go into this folder")

// walk visits what is in the folder name of dirfd: names sorted, folders before
// their content. What vanishes meanwhile is passed over. visit may answer
// errSkipFolder.
func walk(dirfd int, name, path string, visit func(dirfd int, e entry) error) error {
	return walkFolder(dirfd, name, path, 0, visit)
}

func walkFolder(dirfd int, name, path string, depth int, visit func(dirfd int, e entry) error) error {
	if depth > maxDepth {
		return errs.Invalid("folders are nested more than %d deep", maxDepth)
	}
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR || err == unix.ELOOP {
		err = fs.ErrNotExist // a container replaced it meanwhile
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	names, err := archive.ReadNames(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		e := entry{path: filepath.Join(path, n), name: n}
		if err := unix.Fstatat(fd, n, &e.st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			if err == unix.ENOENT {
				continue
			}
			return &os.PathError{Op: "stat", Path: e.path, Err: err}
		}
		if e.isDir() {
			e.opaque = isOpaque(fd, n)
		}
		err := visit(fd, e)
		if err == nil && e.isDir() {
			err = walkFolder(fd, n, e.path, depth+1, visit)
		}
		if err != nil && err != errSkipFolder && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func isOpaque(dirfd int, name string) bool {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var value [2]byte
	n, err := unix.Fgetxattr(fd, "trusted.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// ApplyDiff unpacks straight into the layer's own folder.
func (d *Driver) ApplyDiff(ctx context.Context, id string, diff io.Reader) (int64, error) {
	r, err := d.load(id)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	inUse := d.users[id] > 0
	d.mu.Unlock()
	if inUse && r.Parent != "" {
		return 0, errs.Conflict("layer %s is mounted: it cannot be filled", id)
	}
	done, err := archive.Unpack(ctx, d.diff(id), diff, archive.UnpackOptions{Whiteouts: archive.Overlay, RootEntry: true})
	if err != nil {
		return 0, err
	}
	if err := failpoint.Hit(failpoint.GraphApply); err != nil {
		return 0, err
	}
	r.Size, r.Root = done.Bytes, done.Root
	if err := r.write(d.fs, d.dir(id)); err != nil {
		return 0, err
	}
	d.mu.Lock()
	d.layers[id] = r
	d.mu.Unlock()
	return done.Bytes, nil
}

// DiffSize adds up what is in the layer's own folder, hard links once.
func (d *Driver) DiffSize(ctx context.Context, id string) (int64, error) {
	r, err := d.load(id)
	if err != nil {
		return 0, err
	}
	if !r.ReadWrite && r.Size != unknownSize {
		return r.Size, nil
	}
	fd, err := unix.Open(d.dir(id), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: d.dir(id), Err: err}
	}
	defer unix.Close(fd)
	var size int64
	seen := map[uint64]bool{}
	err = walk(fd, "diff", "", func(_ int, e entry) error {
		kind := e.st.Mode & unix.S_IFMT
		if (kind == unix.S_IFREG || kind == unix.S_IFLNK) && (e.st.Nlink == 1 || !seen[e.st.Ino]) {
			size += e.st.Size
			if e.st.Nlink > 1 {
				seen[e.st.Ino] = true
			}
		}
		return ctx.Err()
	})
	return size, err
}
