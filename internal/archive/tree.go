package archive

import (
	"hash/maphash"
	"os"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxStack is how many folders are kept open on the way to the current one;
// deeper ones are resolved anew from the root each time.
const maxStack = 32

// maxLinks is how many links one name may lead through, as in the kernel.
const maxLinks = 40

// openFolder are the flags by which folders are opened one at a time: a link in
// place of a folder fails.
const openFolder = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// tree is the folder that an archive is unpacked into. It hands out descriptors
// of folders in it; names are resolved by the kernel and never leave the root.
type tree struct {
	privileged bool
	stack      []level // the root and the folders below it that lead to the last one asked for
	side       level   // the last folder that was not reached by plain folders alone; fd -1 for none
	stale      bool    // something that the open folders' names depend on was removed
	keepTimes  bool    // all folders keep the times that they have, however often they are filled
	dirs       pathSet // else these do, which the archive gave a time to
	// whiteout tells whether name is a mark that a folder may replace, and
	// replaced is told once it has.
	whiteout func(dirfd int, name string) bool
	replaced func(dirfd int) error
	// implied is told of folders that are made although the archive has no entry for them (yet).
	implied func(path string) error
}

// level is one open folder.
type level struct {
	path string // from the root, "" for the root itself
	fd   int
	// What is put right when the folder is left, as its content changes it.
	times *[2]unix.Timespec
	mode  *uint32
	// What it was when it was opened, until it is given its metadata.
	was *unix.Stat_t
}

func openTree(root string) (*tree, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	t := &tree{privileged: os.Geteuid() == 0, dirs: newPathSet()}
	t.side.fd = -1
	t.stack = append(t.stack, level{fd: fd})
	return t, nil
}

func (t *tree) root() int { return t.stack[0].fd }

// close leaves all folders; it reports times and modes that could not be set.
func (t *tree) close() error {
	err := t.leaveSide()
	for len(t.stack) > 0 {
		if e := t.pop(); err == nil {
			err = e
		}
	}
	return err
}

// folder gives a descriptor of the folder path, which is made if it is missing.
// It is good until the next call.
func (t *tree) folder(path string) (int, error) {
	l, err := t.level(path)
	if err != nil {
		return -1, err
	}
	return l.fd, nil
}

func (t *tree) level(path string) (*level, error) {
	if err := t.refresh(); err != nil {
		return nil, err
	}
	if t.side.fd >= 0 {
		if t.side.path == path {
			return &t.side, nil
		}
		if err := t.leaveSide(); err != nil {
			return nil, err
		}
	}
	for {
		top := &t.stack[len(t.stack)-1]
		if path == top.path {
			return top, nil
		}
		if len(t.stack) == 1 || strings.HasPrefix(path, top.path) && path[len(top.path)] == '/' {
			break
		}
		if err := t.pop(); err != nil {
			return nil, err
		}
	}
	for {
		top := &t.stack[len(t.stack)-1]
		if top.path == path {
			return top, nil
		}
		if len(t.stack) == maxStack {
			return t.enterSide(path)
		}
		rest := path
		if top.path != "" {
			rest = path[len(top.path)+1:]
		}
		name, _, _ := strings.Cut(rest, "/")
		child := path[:len(path)-len(rest)+len(name)]
		fd, err := t.open(top.fd, name, child)
		switch err {
		case nil:
			l := level{path: child, fd: fd}
			if err := t.enter(&l, t.keepTimes || t.dirs.has(child)); err != nil {
				unix.Close(fd)
				return nil, err
			}
			t.stack = append(t.stack, l)
		case unix.ENOTDIR, unix.ELOOP:
			return t.enterSide(path)
		default:
			return nil, &os.PathError{Op: "open folder", Path: child, Err: err}
		}
	}
}

// open opens or makes the folder name; ENOTDIR or ELOOP if something else is there.
func (t *tree) open(dirfd int, name, path string) (int, error) {
	for try := 0; ; try++ {
		fd, err := unix.Openat(dirfd, name, openFolder, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EACCES && !t.privileged && try == 0:
			if !makeReadable(dirfd, name) {
				return -1, err
			}
		case err == unix.ENOENT && try < 3:
			if err := unix.Mkdirat(dirfd, name, 0o755); err != nil && err != unix.EEXIST {
				return -1, err
			}
			if err := t.implied(path); err != nil {
				return -1, err
			}
		case err == unix.ENOTDIR && try < 3 && t.whiteout(dirfd, name):
			if err := unix.Unlinkat(dirfd, name, 0); err != nil {
				return -1, err
			}
			if err := unix.Mkdirat(dirfd, name, 0o755); err != nil {
				return -1, err
			}
			if err := t.implied(path); err != nil {
				return -1, err
			}
			fd, err := unix.Openat(dirfd, name, openFolder, 0)
			if err != nil {
				return -1, err
			}
			return fd, t.replaced(fd)
		default:
			return fd, err
		}
	}
}

// makeReadable gives its owner access to a folder.
func makeReadable(dirfd int, name string) bool {
	fd, err := unix.Openat(dirfd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o700) == nil
}

// enter notes what is to be put right when l is left.
func (t *tree) enter(l *level, keepTimes bool) error {
	if !keepTimes && t.privileged {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: l.path, Err: err}
	}
	l.was = &st
	if keepTimes {
		l.times = &[2]unix.Timespec{st.Atim, st.Mtim}
	}
	if mode := st.Mode & 0o7777; !t.privileged && mode&0o700 != 0o700 && int(st.Uid) == os.Geteuid() {
		l.mode = &mode
		if err := unix.Fchmod(l.fd, mode|0o700); err != nil {
			return &os.PathError{Op: "chmod", Path: l.path, Err: err}
		}
	}
	return nil
}

// leave puts the times and mode of l right and closes it.
func (l *level) leave() error {
	var err error
	if l.mode != nil {
		err = unix.Fchmod(l.fd, *l.mode)
	}
	if l.times != nil {
		if e := futimens(l.fd, l.times); err == nil {
			err = e
		}
	}
	unix.Close(l.fd)
	if err != nil {
		return &os.PathError{Op: "finish folder", Path: "/" + l.path, Err: err}
	}
	return nil
}

func (t *tree) pop() error {
	top := t.stack[len(t.stack)-1]
	t.stack = t.stack[:len(t.stack)-1]
	return top.leave()
}

func (t *tree) leaveSide() error {
	if t.side.fd < 0 {
		return nil
	}
	l := t.side
	t.side = level{fd: -1}
	return l.leave()
}

// removedFolder is called when a folder or a link was removed: descriptors that
// are open may not be what their names lead to any more.
func (t *tree) removedFolder() { t.stale = true }

func (t *tree) refresh() error {
	if !t.stale {
		return nil
	}
	t.stale = false
	err := t.leaveSide()
	for len(t.stack) > 1 {
		if e := t.pop(); err == nil {
			err = e
		}
	}
	return err
}

// enterSide reaches a folder the slow way: through links, which stay in the root,
// or at great depth.
func (t *tree) enterSide(path string) (*level, error) {
	fd, err := t.resolve(path, 0)
	if err != nil {
		return nil, err
	}
	l := level{path: path, fd: fd}
	if err := t.enter(&l, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	t.side = l
	return &t.side, nil
}

// resolve opens the folder path inside the root, following links as a process
// would that has this root, and makes what is missing, also where a link points.
func (t *tree) resolve(path string, links int) (int, error) {
	if links > maxLinks {
		return -1, &os.PathError{Op: "open folder", Path: path, Err: unix.ELOOP}
	}
	fd, err := t.openInRoot(path, unix.O_RDONLY)
	if err != unix.ENOENT {
		if err != nil {
			return -1, &os.PathError{Op: "open folder", Path: path, Err: err}
		}
		return fd, nil
	}
	// A folder exists only if those before it do.
	parts := strings.Split(path, "/")
	known := sort.Search(len(parts), func(i int) bool {
		fd, err := t.openInRoot(strings.Join(parts[:i+1], "/"), unix.O_PATH)
		if err == nil {
			unix.Close(fd)
		}
		return err != nil
	})
	dir, missing := strings.Join(parts[:known], "/"), parts[known:]
	if len(missing) == 0 { // it was made meanwhile
		return t.resolve(path, links+1)
	}
	parent, err := t.openInRoot(dir, unix.O_RDONLY)
	if err != nil {
		return -1, &os.PathError{Op: "open folder", Path: dir, Err: err}
	}
	if target, err := ReadLink(parent, missing[0]); err == nil {
		unix.Close(parent)
		if strings.HasPrefix(target, "/") {
			dir = ""
		}
		missing[0] = target
		return t.resolve(strings.TrimLeft(dir+"/"+strings.Join(missing, "/"), "/"), links+1)
	}
	// What is made here is no link, so each part can be opened in the one before.
	for _, part := range missing {
		if part == "" || part == "." || part == ".." { // a link's target may hold these
			unix.Close(parent)
			return t.resolve(path, links+1)
		}
		dir = strings.TrimLeft(dir+"/"+part, "/")
		child, err := t.open(parent, part, dir)
		unix.Close(parent)
		if err != nil {
			return -1, &os.PathError{Op: "make folder", Path: dir, Err: err}
		}
		parent = child
	}
	return parent, nil
}

// openInRoot resolves path with all links as if the root were "/".
func (t *tree) openInRoot(path string, access int) (int, error) {
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{
		Flags:   uint64(access | unix.O_DIRECTORY | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(t.root(), path, &how)
		// EAGAIN: something was renamed meanwhile and ".." could not be trusted.
		if err == unix.EINTR || err == unix.EAGAIN && try < 100 {
			continue
		}
		return fd, err
	}
}

// existing opens, for looking up one name in it, a folder that must be there.
func (t *tree) existing(path string) (int, error) {
	fd, err := t.openInRoot(path, unix.O_PATH)
	if err != nil {
		return -1, &os.PathError{Op: "open folder", Path: path, Err: err}
	}
	return fd, nil
}

// ReadLink gives the target of the link name in the open folder dirfd.
func ReadLink(dirfd int, name string) (string, error) {
	buf := make([]byte, maxName+1)
	n, err := unix.Readlinkat(dirfd, name, buf)
	if err != nil {
		return "", err
	}
	if n == len(buf) {
		return "", unix.ENAMETOOLONG
	}
	return string(buf[:n]), nil
}

// pathSet remembers paths by a hash with a random seed: 8 bytes each, however
// long the names are.
type pathSet struct {
	seed maphash.Seed
	m    map[uint64]struct{}
}

func newPathSet() pathSet {
	return pathSet{maphash.MakeSeed(), map[uint64]struct{}{}}
}

func (s pathSet) has(path string) bool {
	_, ok := s.m[maphash.String(s.seed, path)]
	return ok
}

func (s pathSet) add(path string) { s.m[maphash.String(s.seed, path)] = struct{}{} }

// addWithParents also adds the folders that lead to path.
func (s pathSet) addWithParents(path string) {
	s.add(path)
	for path != "" {
		if path, _ = split(path); path == "" || s.has(path) {
			return
		}
		s.add(path)
	}
}
