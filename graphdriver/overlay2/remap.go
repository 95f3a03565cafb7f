package overlay2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/rmtree"
)

// The ids of an overlay cannot be mapped, but those of its lower and upper folders
// can (since Linux 5.19): they are taken from a copy of home's mount on which all files
// belong to the ids of the map. Overlayfs works on them with the file ids of the
// thread that mounted it, so that has those of the container's root.

var _ graphdriver.Remapper = (*Driver)(nil)

// CanRemap mounts a small overlay and lets the map's root make a file in it.
func (d *Driver) CanRemap(m graphdriver.IDMap) error {
	d.mu.Lock()
	h := d.host
	d.mu.Unlock()
	try := func(o overlay) error { return o.tryRemapped(m, h) }
	err := tryMount(d.home, h, try)
	if errors.Is(err, unix.EINVAL) && !h.attached {
		h.attached = true
		err = tryMount(d.home, h, try)
	}
	if err != nil {
		return fmt.Errorf("overlay2 in %s (%s): %w: %w", d.home, h.backing, graphdriver.ErrNoRemap, err)
	}
	d.mu.Lock()
	d.host.attached = h.attached
	d.mu.Unlock()
	return nil
}

func (o overlay) tryRemapped(m graphdriver.IDMap, h host) error {
	o.ids = m
	if err := o.mount(filepath.Dir(o.target), h); err != nil {
		return err
	}
	defer unmount(o.target)
	err := m.AsRoot(func() error { return os.WriteFile(filepath.Join(o.target, "made"), nil, 0o600) })
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(o.upper, "made"), &st); err != nil {
		return err
	}
	if st.Uid != 0 || st.Gid != 0 {
		return fmt.Errorf("what the container's root makes belongs to %d:%d", st.Uid, st.Gid)
	}
	return nil
}

// GetRemapped mounts a writable layer at dir with the ids of m.
func (d *Driver) GetRemapped(ctx context.Context, id, dir string, m graphdriver.IDMap) error {
	defer d.turns.take(id)()
	r, err := d.load(id)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !r.ReadWrite {
		return errs.Invalid("layer %s is not a container's", id)
	}
	if !isMountpoint(dir) {
		if err := d.mountRemapped(id, r, dir, m); err != nil {
			return fmt.Errorf("mount layer %s for a user namespace: %w", id, err)
		}
	}
	d.mu.Lock()
	d.remapped[id] = dir
	d.mu.Unlock()
	return nil
}

func (d *Driver) mountRemapped(id string, r record, dir string, m graphdriver.IDMap) error {
	if r.Parent == "" {
		// Nothing to merge.
		mnt, err := m.CloneMount(d.diff(id))
		if err != nil {
			return err
		}
		defer mnt.Close()
		return attach(int(mnt.Fd()), dir)
	}
	o, err := d.overlayOf(id, r)
	if err != nil {
		return err
	}
	o.target, o.ids = dir, m
	d.mu.Lock()
	h := d.host
	d.mu.Unlock()
	return o.mount(d.home, h)
}

// PutRemapped unmounts a layer from dir.
func (d *Driver) PutRemapped(_ context.Context, id, dir string) error {
	if err := graphdriver.CheckID(id); err != nil {
		return err
	}
	defer d.turns.take(id)()
	if err := unmount(dir); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.remapped, id)
	d.mu.Unlock()
	return nil
}

// mountRemapped makes the overlay as the container's root and attaches it as ours.
func (o overlay) mountRemapped(home string, h host) error {
	links, err := o.makeLinks(home, h)
	if err != nil {
		return err
	}
	defer links.remove()
	clone, err := o.ids.CloneMount(home)
	if err != nil {
		return err
	}
	defer clone.Close()
	mnt := -1
	err = o.ids.AsRoot(func() (err error) {
		source := int(clone.Fd())
		if h.attached {
			if source, err = attachAside(source, home); err != nil {
				return err
			}
			defer unix.Close(source)
		}
		short := func(path string) string { return through(source, home, path) }
		var lowers [][2]string
		if h.manyLowers {
			for _, lower := range o.lowers {
				lowers = append(lowers, [2]string{"lowerdir+", short(lower)})
			}
		} else if lowers, err = links.enter(short); err != nil {
			return err
		}
		mnt, err = o.assemble(lowers, short, h)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(mnt)
	return attach(mnt, o.target)
}

// attachAside attaches a copy of home's mount over home in a mount namespace that
// only this thread has and that ends with it, since before Linux 6.15 overlayfs
// takes no layers from a mount that is attached nowhere. It gives a descriptor of home there.
func attachAside(clone int, home string) (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return -1, os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return -1, &os.PathError{Op: "make private", Path: "/", Err: err}
	}
	if err := attach(clone, home); err != nil {
		return -1, err
	}
	fd, err := unix.Open(home, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: home, Err: err}
	}
	return fd, nil
}

// lowerLinks is a folder of links with the shortest names to the lower folders:
// before Linux 6.5 all of them are one value of fsconfig(2).
type lowerLinks struct {
	dir   string // "" if it is not needed
	names []string
}

func (o overlay) makeLinks(home string, h host) (l lowerLinks, err error) {
	if h.manyLowers {
		return l, nil
	}
	if l.dir, err = os.MkdirTemp(home, linksPrefix); err != nil {
		return l, err
	}
	for i, lower := range o.lowers {
		name := strconv.FormatInt(int64(i), 36)
		if err := os.Symlink(".."+lower[len(home):], filepath.Join(l.dir, name)); err != nil {
			l.remove()
			return l, err
		}
		l.names = append(l.names, name)
	}
	return l, nil
}

// enter makes the folder the working folder of this thread, where the names lead
// to the lower folders on the mapped copy of home.
func (l lowerLinks) enter(short func(string) string) ([][2]string, error) {
	value := strings.Join(l.names, ":")
	if len(value) > maxValue {
		return nil, errs.Invalid("this kernel cannot mount %d layers above one another for a user namespace", len(l.names))
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	if err := unix.Chdir(short(l.dir)); err != nil {
		return nil, &os.PathError{Op: "chdir", Path: l.dir, Err: err}
	}
	return [][2]string{{"lowerdir", value}}, nil
}

func (l lowerLinks) remove() {
	if l.dir != "" {
		_ = rmtree.Path(l.dir) // else the next start does it
	}
}
