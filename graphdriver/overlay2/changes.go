package overlay2

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/archive"
)

// Changes walks the layer's own folder and looks each name up in the parents.
// A folder whose attributes did not change is there for the sake of what is in
// it, and is listed only if something in it is. A file that is as it was has been
// copied up by overlayfs, for a write that never came or a new hard link.
func (d *Driver) Changes(ctx context.Context, id string) ([]graphdriver.Change, error) {
	r, err := d.load(id)
	if err != nil {
		return nil, err
	}
	var lowers []string
	if r.Parent != "" {
		if lowers, err = d.chain(r.Parent); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(d.dir(id), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.dir(id), Err: err}
	}
	defer unix.Close(fd)

	c := collector{below: map[string][]string{"": lowers}, hides: map[string]bool{}, kinds: map[string]graphdriver.ChangeKind{}}
	err = walk(fd, "diff", "", func(dirfd int, e entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return c.visit(dirfd, e)
	})
	if err != nil {
		return nil, err
	}
	return c.sorted(), nil
}

type collector struct {
	// below gives, for the folders on the way, the parents' folders that are merged there.
	below map[string][]string
	hides map[string]bool // folders that are opaque, or lie in one
	kinds map[string]graphdriver.ChangeKind
}

func (c *collector) visit(dirfd int, e entry) error {
	dir := filepath.Dir(e.path)
	if dir == "." {
		dir = ""
	}
	below, merged := lookup(c.below[dir], e.name)
	switch {
	case e.whiteout():
		if below != nil {
			c.note(e.path, graphdriver.Deleted)
		}
		return nil
	case below == nil:
		c.note(e.path, graphdriver.Added)
	case differ(dirfd, e, below): // an opaque folder by itself is none: what it hides is
		c.note(e.path, graphdriver.Modified)
	}
	if !e.isDir() {
		return nil
	}
	c.below[e.path] = merged
	if e.opaque || c.hides[dir] {
		c.hides[e.path] = true
		return c.noteHidden(dirfd, e, merged)
	}
	return nil
}

// note lists a change, and the folders that lead to it.
func (c *collector) note(path string, kind graphdriver.ChangeKind) {
	c.kinds[path] = kind
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if _, ok := c.kinds[dir]; ok {
			return
		}
		c.kinds[dir] = graphdriver.Modified
	}
}

// noteHidden lists as deleted what an opaque folder hides and does not have itself.
func (c *collector) noteHidden(dirfd int, e entry, merged []string) error {
	gone := map[string]bool{}
	for _, lower := range merged {
		entries, err := os.ReadDir(lower)
		if err != nil {
			return err
		}
		for _, le := range entries {
			gone[le.Name()] = true
		}
	}
	for name := range gone {
		var st unix.Stat_t
		if unix.Fstatat(dirfd, filepath.Join(e.name, name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && !isWhiteout(&st) {
			continue
		}
		if below, _ := lookup(merged, name); below != nil {
			c.note(filepath.Join(e.path, name), graphdriver.Deleted)
		}
	}
	return nil
}

func (c *collector) sorted() []graphdriver.Change {
	list := make([]graphdriver.Change, 0, len(c.kinds))
	for path, kind := range c.kinds {
		list = append(list, graphdriver.Change{Path: "/" + path, Kind: kind})
	}
	slices.SortFunc(list, func(a, b graphdriver.Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// lower is what the parents show under a name.
type lower struct {
	path string
	st   unix.Stat_t
}

// lookup finds name as the merge of the folders lowers, uppermost first, shows
// it; nil if it is not there. If it is a folder, merged are the folders that are
// merged there.
func lookup(lowers []string, name string) (found *lower, merged []string) {
	for _, dir := range lowers {
		l := lower{path: filepath.Join(dir, name)}
		if unix.Lstat(l.path, &l.st) != nil {
			continue
		}
		if l.st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if found == nil && !isWhiteout(&l.st) {
				return &l, nil
			}
			break
		}
		if found == nil {
			found = &l
		}
		merged = append(merged, l.path)
		if isOpaque(unix.AT_FDCWD, l.path) {
			break
		}
	}
	return found, merged
}

// differ tells whether an entry is not what the parents show under its name.
func differ(dirfd int, e entry, below *lower) bool {
	a, b := &e.st, &below.st
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return true
	}
	if !e.isDir() && (a.Size != b.Size || a.Mtim != b.Mtim) {
		return true
	}
	if a.Mode&unix.S_IFMT == unix.S_IFLNK {
		now, _ := archive.ReadLink(dirfd, e.name)
		before, _ := archive.ReadLink(unix.AT_FDCWD, below.path)
		return now != before
	}
	now, errNow := archive.Attributes(dirfd, e.name)
	before, errBefore := archive.Attributes(unix.AT_FDCWD, below.path)
	return errNow == nil && errBefore == nil && !bytes.Equal(now, before)
}
