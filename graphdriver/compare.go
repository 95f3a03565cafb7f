package graphdriver

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/errs"
)

// maxDepth bounds trees that are compared.
const maxDepth = 1000

// changeList collects changes and the folders that lead to them.
type changeList map[string]ChangeKind

func (l changeList) add(c Change) {
	if c.Path == "/" {
		return
	}
	l[c.Path] = c.Kind
	for dir := filepath.Dir(c.Path); dir != "/"; dir = filepath.Dir(dir) {
		if _, ok := l[dir]; ok {
			return
		}
		l[dir] = Modified
	}
}

func (l changeList) sorted() []Change {
	list := make([]Change, 0, len(l))
	for path, kind := range l {
		list = append(list, Change{path, kind})
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// compareTrees reports every entry that differs, "/" for the root itself, in no
// particular order but folders before what is in them.
func compareTrees(ctx context.Context, trees pair, report func(Change)) error {
	c := comparer{ctx, trees, report}
	before := unix.Stat_t{Mode: unix.S_IFDIR | 0o755}
	var now unix.Stat_t
	if trees.parent != "" {
		if err := lstat(trees.parent, &before); err != nil {
			return err
		}
	}
	if err := lstat(trees.dir, &now); err != nil {
		return err
	}
	if now.Mode != before.Mode || os.Geteuid() == 0 && (now.Uid != before.Uid || now.Gid != before.Gid) {
		report(Change{"/", Modified})
	}
	return c.folder("", trees.parent != "", 0)
}

type comparer struct {
	ctx    context.Context
	trees  pair
	report func(Change)
}

// folder compares what is in path; old tells whether the parent has this folder.
func (c *comparer) folder(path string, old bool, depth int) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return errs.Invalid("folders are nested more than %d deep", maxDepth)
	}
	names, err := namesIn(c.trees.dir + path)
	if err != nil {
		return err
	}
	var gone []string
	if old {
		if gone, err = namesIn(c.trees.parent + path); err != nil {
			return err
		}
	}
	for _, name := range names {
		child := path + "/" + name
		i, had := slices.BinarySearch(gone, name)
		if had {
			gone = slices.Delete(gone, i, i+1)
		}
		if err := c.entry(child, had, depth); err != nil {
			return err
		}
	}
	for _, name := range gone {
		c.report(Change{path + "/" + name, Deleted})
	}
	return nil
}

func (c *comparer) entry(path string, had bool, depth int) error {
	var now, before unix.Stat_t
	if err := lstat(c.trees.dir+path, &now); err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	if now.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	}
	isDir := now.Mode&unix.S_IFMT == unix.S_IFDIR
	wasDir := false
	if !had {
		c.report(Change{path, Added})
	} else {
		if err := lstat(c.trees.parent+path, &before); err != nil {
			return err
		}
		wasDir = before.Mode&unix.S_IFMT == unix.S_IFDIR
		if c.differ(path, &before, &now) {
			c.report(Change{path, Modified})
		}
	}
	if isDir {
		return c.folder(path, wasDir, depth+1)
	}
	return nil
}

func (c *comparer) differ(path string, before, now *unix.Stat_t) bool {
	if before.Mode != now.Mode || before.Uid != now.Uid || before.Gid != now.Gid || before.Rdev != now.Rdev {
		return true
	}
	switch now.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		// Its time and size change with what is in it.
	case unix.S_IFLNK:
		a, _ := os.Readlink(c.trees.parent + path)
		b, _ := os.Readlink(c.trees.dir + path)
		return a != b
	default:
		if before.Mtim != now.Mtim || before.Size != now.Size {
			return true
		}
	}
	a, errA := archive.Attributes(c.trees.parent + path)
	b, errB := archive.Attributes(c.trees.dir + path)
	return errA == nil && errB == nil && !bytes.Equal(a, b)
}

func lstat(path string, st *unix.Stat_t) error {
	if err := unix.Lstat(path, st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return nil
}

func namesIn(dir string) ([]string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return archive.ReadNames(fd)
}

func splitPath(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}
