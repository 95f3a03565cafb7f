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
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/rmtree"
)

// Get mounts a layer, or finds it mounted.
func (d *Driver) Get(ctx context.Context, id string) (string, error) {
	defer d.turns.take(id)()
	r, err := d.load(id)
	if err != nil {
		return "", err
	}
	dir := d.merged(id)
	if r.Parent == "" {
		dir = d.diff(id) // nothing to merge
	}
	d.mu.Lock()
	inUse := d.users[id] > 0
	if inUse {
		d.users[id]++
	}
	_, remapped := d.remapped[id]
	d.mu.Unlock()
	if inUse {
		return dir, nil
	}
	if r.ReadWrite && !remapped && isReadOnly(dir) {
		// A former process read what was remapped then.
		if err := unmount(dir); err != nil {
			return "", err
		}
	}
	if r.Parent != "" && !isMountpoint(dir) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := d.mount(id, r); err != nil {
			if r.ReadWrite && onReadOnlyDisk(d.home) { // the kernel only says that something is invalid
				err = unix.EROFS
			}
			return "", fmt.Errorf("mount layer %s: %w", id, err)
		}
		if err := failpoint.Hit(failpoint.GraphMount); err != nil {
			return "", errors.Join(err, unmount(dir))
		}
	}
	d.mu.Lock()
	d.users[id]++
	d.mu.Unlock()
	return dir, nil
}

// Put counts down and unmounts the layer at the last call.
func (d *Driver) Put(_ context.Context, id string) error {
	defer d.turns.take(id)()
	if _, err := d.load(id); err != nil && !d.present(id) {
		return err
	}
	d.mu.Lock()
	n := d.users[id]
	if n > 1 {
		d.users[id] = n - 1
	} else {
		delete(d.users, id)
	}
	d.mu.Unlock()
	if n > 1 {
		return nil
	}
	return unmount(d.merged(id))
}

func (d *Driver) mount(id string, r record) error {
	d.mu.Lock()
	_, remapped := d.remapped[id]
	d.mu.Unlock()
	o, err := d.overlayOf(id, r)
	if err != nil {
		return err
	}
	if remapped {
		// There must not be two that write to one folder.
		o.lowers, o.upper, o.work = append([]string{o.upper}, o.lowers...), "", ""
	}
	return o.mount(d.home, d.host)
}

// overlayOf says how a layer is mounted, at merged unless told otherwise.
func (d *Driver) overlayOf(id string, r record) (overlay, error) {
	lowers, err := d.chain(r.Parent)
	if err != nil {
		return overlay{}, err
	}
	o := overlay{lowers: lowers, target: d.merged(id)}
	if r.ReadWrite {
		o.upper, o.work, o.volatile = d.diff(id), d.work(id), r.Volatile
	} else {
		o.lowers = append([]string{d.diff(id)}, lowers...)
		if err := d.inheritRoot(id, r); err != nil {
			return overlay{}, err
		}
	}
	if len(o.lowers) > maxLowers { // what a newer kernel has taken may still be too much for this one
		return overlay{}, errs.Invalid("more than %d layers above one another", maxLowers)
	}
	return o, nil
}

// overlay is one mount to be made.
type overlay struct {
	lowers      []string // absolute, uppermost first
	upper, work string   // "" for a read-only mount
	volatile    bool
	target      string
	ids         graphdriver.IDMap // whose ids files belong to; zero for those on the disk
}

// options are those that keep a layer's files independent of its parents: no
// redirects, no data left in a parent, no indexes of parents' inodes.
func (o overlay) options(h host) [][2]string {
	list := [][2]string{{"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "off"}, {"xino", "off"}}
	if h.nullUUID {
		list = append(list, [2]string{"uuid", "null"})
	}
	if o.volatile && o.upper != "" {
		list = append(list, [2]string{"volatile", ""})
	}
	return list
}

func (o overlay) mount(home string, h host) error {
	if o.volatile && o.upper != "" {
		// overlayfs refuses a folder that was mounted so before, lest it is
		// used after a power cut. The container's owner has decided that.
		if err := rmtree.Path(filepath.Join(o.work, "work", "incompat")); err != nil {
			return err
		}
	}
	var err error
	switch {
	case !o.ids.IsZero():
		err = o.mountRemapped(home, h)
	case h.manyLowers:
		err = o.mountByParts(home, h)
	default:
		err = o.mountByString(h)
	}
	if err != nil {
		return err
	}
	// Folders of containers are nothing that other mount namespaces should get or keep.
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(unix.AT_FDCWD, o.target, unix.AT_SYMLINK_NOFOLLOW, &attr); err != nil {
		unix.Unmount(o.target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		return &os.PathError{Op: "make private", Path: o.target, Err: err}
	}
	return nil
}

// maxValue is what the kernel takes as a string in fsconfig(2).
const maxValue = 255

// mountByParts gives the kernel one lower folder at a time (since Linux 6.5).
func (o overlay) mountByParts(home string, h host) error {
	short := func(path string) string { return path }
	if len(home)+200 > maxValue {
		// Through a descriptor of home, names are short wherever it lies.
		fd, err := unix.Open(home, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: home, Err: err}
		}
		defer unix.Close(fd)
		short = func(path string) string { return through(fd, home, path) }
	}
	var lowers [][2]string
	for _, lower := range o.lowers {
		lowers = append(lowers, [2]string{"lowerdir+", short(lower)})
	}
	mnt, err := o.assemble(lowers, short, h)
	if err != nil {
		return err
	}
	defer unix.Close(mnt)
	return attach(mnt, o.target)
}

// through names a path below home by way of a descriptor of home.
func through(fd int, home, path string) string {
	return "/proc/self/fd/" + strconv.Itoa(fd) + path[len(home):]
}

// assemble makes an overlay that is attached nowhere and gives its descriptor.
// short makes names that fit into fsconfig(2).
func (o overlay) assemble(lowers [][2]string, short func(string) string, h host) (mnt int, err error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen overlay: %w", err)
	}
	defer unix.Close(fs)
	options := append([][2]string{{"source", "overlay"}}, lowers...)
	if o.upper != "" {
		// These two are unescaped by the kernel, unlike lowerdir+.
		escape := strings.NewReplacer(`\`, `\\`)
		options = append(options, [2]string{"upperdir", escape.Replace(short(o.upper))}, [2]string{"workdir", escape.Replace(short(o.work))})
	}
	for _, opt := range append(options, o.options(h)...) {
		if opt[1] == "" {
			err = unix.FsconfigSetFlag(fs, opt[0])
		} else {
			err = unix.FsconfigSetString(fs, opt[0], opt[1])
		}
		if err != nil {
			return -1, fmt.Errorf("%s=%s: %w%s", opt[0], opt[1], err, kernelSays(fs))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create overlay: %w%s", err, kernelSays(fs))
	}
	if mnt, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("fsmount: %w%s", err, kernelSays(fs))
	}
	return mnt, nil
}

func attach(mnt int, target string) error {
	if err := unix.MoveMount(mnt, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move mount to", Path: target, Err: err}
	}
	return nil
}

// kernelSays gives the messages that the kernel left in a file system context.
func kernelSays(fs int) string {
	var text strings.Builder
	buf := make([]byte, 1024)
	for range 10 {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			break
		}
		fmt.Fprintf(&text, "; %s", strings.TrimSpace(string(buf[:n])))
	}
	return text.String()
}

// mountByString is the way before Linux 6.5: one page holds all options.
// Names of a few bytes make room for some 200 lower folders.
func (o overlay) mountByString(h host) error {
	var open []int
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	// short names a folder through a descriptor. Nothing is written, as the disk may be full.
	short := func(target string) (string, error) {
		fd, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: target, Err: err}
		}
		open = append(open, fd)
		return "/proc/self/fd/" + strconv.Itoa(fd), nil
	}
	var data strings.Builder
	data.WriteString("lowerdir=")
	for i, lower := range o.lowers {
		name, err := short(lower)
		if err != nil {
			return err
		}
		if i > 0 {
			data.WriteByte(':')
		}
		data.WriteString(name)
	}
	if o.upper != "" {
		for _, kv := range [][2]string{{"upperdir", o.upper}, {"workdir", o.work}} {
			name, err := short(kv[1])
			if err != nil {
				return err
			}
			fmt.Fprintf(&data, ",%s=%s", kv[0], name)
		}
	}
	for _, opt := range o.options(h) {
		data.WriteString("," + strings.TrimSuffix(opt[0]+"="+opt[1], "="))
	}
	if data.Len() >= os.Getpagesize() {
		return errs.Invalid("this kernel cannot mount %d layers above one another", len(o.lowers))
	}
	if err := unix.Mount("overlay", o.target, "overlay", 0, data.String()); err != nil {
		return &os.PathError{Op: "mount overlay on", Path: o.target, Err: err}
	}
	return nil
}

// unmount detaches what is mounted at path; nothing there is not an error.
func unmount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == nil || err == unix.EINVAL || err == unix.ENOENT {
		return nil
	}
	return &os.PathError{Op: "unmount", Path: path, Err: err}
}

func isMountpoint(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// isReadOnly tells whether something is mounted at path that cannot be written to.
func isReadOnly(path string) bool { return isMountpoint(path) && onReadOnlyDisk(path) }

func onReadOnlyDisk(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}
