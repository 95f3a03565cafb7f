package overlay2

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
)

// Changes walks the layer's own folder and looks each name up in the parents.
// A folder whose attributes did not change is there for the sake of what is in
// it, and is listed only if something in it is.
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
	found, st, merged := lookup(c.below[dir], e.name)
	switch {
	case e.whiteout():
		if found {
			c.note(e.path, graphdriver.Deleted)
		}
		return nil
	case !found:
		c.note(e.path, graphdriver.Added)
	case !e.isDir() || e.opaque || !sameFolder(&e.st, &st):
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
		if found, _, _ := lookup(merged, name); found {
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

// lookup finds name as the merge of the folders lowers, uppermost first, shows
// it. If it is a folder, merged are the folders that are merged there.
func lookup(lowers []string, name string) (found bool, st unix.Stat_t, merged []string) {
	for _, lower := range lowers {
		path := filepath.Join(lower, name)
		var s unix.Stat_t
		if unix.Lstat(path, &s) != nil {
			continue
		}
		if s.Mode&unix.S_IFMT != unix.S_IFDIR {
			if !found && !isWhiteout(&s) {
				return true, s, nil
			}
			break
		}
		if !found {
			found, st = true, s
		}
		merged = append(merged, path)
		if isOpaque(unix.AT_FDCWD, path) {
			break
		}
	}
	return found, st, merged
}

func sameFolder(a, b *unix.Stat_t) bool {
	return a.Mode == b.Mode && a.Uid == b.Uid && a.Gid == b.Gid
}
