package idmap

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

var namespaces struct {
	sync.Mutex
	open map[string]*os.File
}

// Namespace gives a user namespace with this map, in which nothing runs. It is
// made once and kept; the file is not the caller's to close.
func (m Map) Namespace() (*os.File, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	key := m.String()
	namespaces.Lock()
	defer namespaces.Unlock()
	if f := namespaces.open[key]; f != nil {
		return f, nil
	}
	f, err := m.newNamespace()
	if err != nil {
		return nil, fmt.Errorf("make a user namespace with %s: %w", m, err)
	}
	if namespaces.open == nil {
		namespaces.open = map[string]*os.File{}
	}
	namespaces.open[key] = f
	return f, nil
}

// newNamespace starts a process in a new user namespace and takes the namespace
// from it. The process is traced, so that it stops before its first instruction;
// what its program is does not matter.
func (m Map) newNamespace() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		// A tracer is a thread. It ends with this goroutine, and would take the
		// process along.
		runtime.LockOSThread()
		f, err := m.borrow()
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

func (m Map) borrow() (*os.File, error) {
	p, err := os.StartProcess("/proc/self/exe", []string{"idmap"}, &os.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, Ptrace: true, Pdeathsig: syscall.SIGKILL,
			UidMappings: m.sys(m.UIDs), GidMappings: m.sys(m.GIDs), GidMappingsEnableSetgroups: true,
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = p.Kill()
		_, _ = p.Wait()
	}()
	return os.Open("/proc/" + strconv.Itoa(p.Pid) + "/ns/user")
}

func (m Map) sys(ranges []Range) []syscall.SysProcIDMap {
	list := make([]syscall.SysProcIDMap, len(ranges))
	for i, r := range ranges {
		list[i] = syscall.SysProcIDMap{ContainerID: int(r.Container), HostID: int(r.Host), Size: int(r.Size)}
	}
	return list
}

// CloneMount makes a copy of the mount at path on which files belong to the ids
// of the map: what is 0 on the disk is the container's root. The copy is attached
// nowhere and goes with its descriptor. EINVAL says that the file system of path
// cannot do that.
func (m Map) CloneMount(path string) (*os.File, error) {
	ns, err := m.Namespace()
	if err != nil {
		return nil, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, &os.PathError{Op: "clone the mount of", Path: path, Err: err}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "map the ids of", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// AsRoot runs f as the root of a container would work on files: what it makes
// belongs to that root. f keeps our capabilities and must not start goroutines
// that work on files. Without a map it is a plain call.
func (m Map) AsRoot(f func() error) error {
	if m.IsZero() {
		return f()
	}
	uid, gid, err := m.Root()
	if err != nil {
		return err
	}
	type end struct {
		err    error
		thrown any
	}
	done := make(chan end, 1)
	go func() {
		// The thread ends with the goroutine, and so do its ids.
		runtime.LockOSThread()
		var e end
		defer func() {
			e.thrown = recover()
			done <- e
		}()
		if e.err = become(uid, gid); e.err == nil {
			e.err = f()
		}
	}()
	e := <-done
	if e.thrown != nil {
		panic(e.thrown) // where the caller can catch it
	}
	return e.err
}

// become changes the ids with which this thread works on files. That takes away
// the capabilities that go with files, which are put back, and keeps the
// process from being inspected by its own user, which for root changes nothing
// but core dumps.
func become(uid, gid int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if err := unix.Setfsgid(gid); err != nil {
		return os.NewSyscallError("setfsgid", err)
	}
	if err := unix.Setfsuid(uid); err != nil {
		return os.NewSyscallError("setfsuid", err)
	}
	// The calls tell what was before, and not whether they worked.
	if now, err := unix.SetfsuidRetUid(uid); err != nil || now != uid {
		return fmt.Errorf("setfsuid %d: not permitted", uid)
	}
	if now, err := unix.SetfsgidRetGid(gid); err != nil || now != gid {
		return fmt.Errorf("setfsgid %d: not permitted", gid)
	}
	if err := unix.Capset(&header, &caps[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	if dumpable == 1 {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
	}
	return nil
}
