package overlay2

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/rmtree"
)

// host is what the machine can do.
type host struct {
	backing    string // name of the file system of Home, as docker has it
	manyLowers bool   // lower folders can be given one by one
	volatile   bool
	nullUUID   bool // overlays need no identity of their own, which costs an attribute in each upper folder
	attached   bool // layers must lie in a mount that is attached; CanRemap finds out
}

// maxLowers is how many layers fit above one another: before Linux 6.5 their
// names, of at most 20 bytes, must fit into one page with all options.
func (h host) maxLowers() int {
	if h.manyLowers {
		return maxLowers
	}
	return min(maxLowers, (os.Getpagesize()-300)/20)
}

// probe mounts a small overlay in home and uses it. On a full or read-only disk
// it relies on the layers that are there already, so that they can at least be
// listed, removed and, where nothing needs to be written, mounted.
func probe(home string) (host, error) {
	h := host{backing: backingName(home)}
	unsupported := func(format string, args ...any) (host, error) {
		return host{}, fmt.Errorf("overlay2: %w: %w", graphdriver.ErrNotSupported, fmt.Errorf(format, args...))
	}
	if os.Geteuid() != 0 {
		return unsupported("it needs root")
	}
	if h.backing == "overlayfs" {
		return unsupported("%s is itself on an overlay, which cannot take an upper layer", home)
	}
	if err := h.askKernel(home); err != nil {
		return unsupported("the kernel has no overlayfs: %w", err)
	}
	err := tryMount(home, h, func(o overlay) error { return o.tryRemoval(h) })
	switch {
	case err == nil:
		return h, nil
	case isFull(err) && hasLayers(home):
		return h, nil
	case isFull(err):
		return host{}, fmt.Errorf("overlay2: try %s: %w", home, err)
	}
	return unsupported("a trial mount in %s (%s) failed: %w", home, h.backing, err)
}

// askKernel finds out which parameters overlayfs takes, without mounting one.
func (h *host) askKernel(home string) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	if unix.FsconfigSetString(fs, "no-such-parameter", "x") == nil {
		// Before Linux 6.5 overlayfs looks at names only when it is mounted.
		// It has volatile then, since 5.10, and not the others.
		h.volatile = true
		return nil
	}
	h.manyLowers = unix.FsconfigSetString(fs, "lowerdir+", "/") == nil
	h.volatile = unix.FsconfigSetFlag(fs, "volatile") == nil
	h.nullUUID = unix.FsconfigSetString(fs, "uuid", "null") == nil
	return nil
}

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS)
}

func hasLayers(home string) bool {
	entries, err := os.ReadDir(home)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return graphdriver.ValidID(e.Name()) })
}

// tryMount makes the folders of a small overlay in home, and has it tried.
func tryMount(home string, h host, try func(overlay) error) error {
	tmp, err := os.MkdirTemp(home, checkPrefix)
	if err != nil {
		return err
	}
	defer rmtree.Path(tmp)
	for _, name := range []string{"lower1", "lower2", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(tmp, name), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, "lower1", "victim"), nil, 0o600); err != nil {
		return err
	}
	return try(overlay{
		lowers: []string{filepath.Join(tmp, "lower1"), filepath.Join(tmp, "lower2")},
		upper:  filepath.Join(tmp, "upper"), work: filepath.Join(tmp, "work"), target: filepath.Join(tmp, "merged"),
		volatile: h.volatile,
	})
}

// tryRemoval mounts the overlay and removes a file in it.
func (o overlay) tryRemoval(h host) error {
	if ok, err := givesTypes(o.lowers[0]); err != nil || !ok {
		return errors.Join(errors.New("folders do not tell the types of what is in them (d_type)"), err)
	}
	if err := o.mount(filepath.Dir(o.target), h); err != nil {
		return err
	}
	defer unmount(o.target)
	if err := os.Remove(filepath.Join(o.target, "victim")); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(o.upper, "victim"), &st); err != nil || !isWhiteout(&st) {
		return errors.Join(errors.New("it makes no whiteouts"), err)
	}
	return nil
}

// givesTypes tells whether reading a folder tells files' types, as overlayfs needs.
func givesTypes(dir string) (bool, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.ReadDirent(fd, buf)
	const recordLength, fileType = 16, 18 // offsets in struct linux_dirent64
	for off := 0; err == nil && off+fileType < n; {
		if buf[off+fileType] == unix.DT_UNKNOWN {
			return false, nil
		}
		off += int(buf[off+recordLength]) | int(buf[off+recordLength+1])<<8
	}
	return err == nil, err
}

func backingName(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return "unknown"
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "extfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case 0x2fc12fc1:
		return "zfs"
	}
	return fmt.Sprintf("unknown (%#x)", uint32(st.Type))
}
