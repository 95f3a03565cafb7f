package graphdriver

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
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
// particular order but folders before what is in them. It goes by descriptors: a
// running container cannot lead it out of the trees.
func compareTrees(ctx context.Context, trees pair, report func(Change, *unix.Stat_t)) error {
	now, err := openFolder(unix.AT_FDCWD, trees.dir)
	if err != nil {
		return err
	}
	defer unix.Close(now)
	old := -1
	before := unix.Stat_t{Mode: unix.S_IFDIR | 0o755}
	if trees.parent != "" {
		if old, err = openFolder(unix.AT_FDCWD, trees.parent); err != nil {
			return err
		}
		defer unix.Close(old)
		if err := unix.Fstat(old, &before); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(now, &st); err != nil {
		return err
	}
	if st.Mode != before.Mode || os.Geteuid() == 0 && (st.Uid != before.Uid || st.Gid != before.Gid) {
		report(Change{"/", Modified}, &st)
	}
	c := comparer{ctx, report}
	return c.folder(now, old, "", 0)
}

type comparer struct {
	ctx    context.Context
	report func(Change, *unix.Stat_t)
}

// folder compares what is in the open folder now with what is in old, -1 if the
// parent has no such folder.
func (c *comparer) folder(now, old int, path string, depth int) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return errs.Invalid("folders are nested more than %d deep", maxDepth)
	}
	names, err := archive.ReadNames(now)
	if err != nil {
		return err
	}
	var gone []string
	if old >= 0 {
		if gone, err = archive.ReadNames(old); err != nil {
			return err
		}
	}
	for _, name := range names {
		before := -1
		if i, had := slices.BinarySearch(gone, name); had {
			gone = slices.Delete(gone, i, i+1)
			before = old
		}
		err := c.entry(now, before, name, path+"/"+name, depth)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return err
		}
	}
	for _, name := range gone {
		c.report(Change{path + "/" + name, Deleted}, nil)
	}
	return nil
}

// entry compares name in two open folders; old is -1 if it is not in the parent.
func (c *comparer) entry(now, old int, name, path string, depth int) error {
	var st, before unix.Stat_t
	if err := lstatAt(now, name, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	}
	if old < 0 {
		c.report(Change{path, Added}, &st)
	} else {
		if err := lstatAt(old, name, &before); err != nil {
			return err
		}
		if differ(now, old, name, &before, &st) {
			c.report(Change{path, Modified}, &st)
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	child, err := openFolder(now, name)
	if err != nil {
		return err
	}
	defer unix.Close(child)
	counterpart := -1
	if before.Mode&unix.S_IFMT == unix.S_IFDIR {
		if counterpart, err = openFolder(old, name); err != nil {
			return err
		}
		defer unix.Close(counterpart)
	}
	return c.folder(child, counterpart, path, depth+1)
}

func differ(now, old int, name string, before, st *unix.Stat_t) bool {
	if before.Mode != st.Mode || before.Uid != st.Uid || before.Gid != st.Gid || before.Rdev != st.Rdev {
		return true
	}
	kind := st.Mode & unix.S_IFMT
	// A folder's time and size change with what is in it.
	if kind != unix.S_IFDIR && (before.Mtim != st.Mtim || before.Size != st.Size) {
		return true
	}
	if kind == unix.S_IFLNK {
		a, _ := archive.ReadLink(old, name)
		b, _ := archive.ReadLink(now, name)
		return a != b
	}
	a, errA := archive.Attributes(old, name)
	b, errB := archive.Attributes(now, name)
	return errA == nil && errB == nil && !bytes.Equal(a, b)
}

func lstatAt(dirfd int, name string, st *unix.Stat_t) error {
	if err := unix.Fstatat(dirfd, name, st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return nil
}

func openFolder(dirfd int, name string) (int, error) {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR || err == unix.ELOOP {
		err = fs.ErrNotExist // a container replaced it meanwhile
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

func splitPath(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}
