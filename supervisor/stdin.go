package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// inputPipe makes the pipe of a container's stdin. It has no name: a process
// that opens its /dev/stdin after the last writer has gone then finds the end of
// the input, where the opening of a FIFO would wait for another writer (ADR 24).
func inputPipe() (childs, ours *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	// A process that dropped to another user opens /dev/stdin too; nobody else
	// has a way to it.
	err = os.NewSyscallError("fchmod", unix.Fchmod(fds[0], 0o666))
	if err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(fds[1], true))
	}
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "stdin"), os.NewFile(uintptr(fds[1]), "stdin"), nil
}

// inputFIFO makes a stdin for daemons that open it by its name. The container's
// end is for reading only, so that it sees the end once all write ends are closed.
func inputFIFO(dir string) (childs, ours *os.File, err error) {
	path := filepath.Join(dir, "stdin")
	if err := makeFIFO(path); err != nil {
		return nil, nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if ours, err = openInput(path); err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		ours.Close()
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), path), ours, nil
}

func openInput(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// inodeOf names a pipe for reopenStdin; 0 for a FIFO, which has a path, and for nil.
func inodeOf(pipe *os.File) (inode uint64) {
	if pipe == nil {
		return 0
	}
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { inode, _ = pipeInode(int(fd)) })
	return inode
}

func pipeInode(fd int) (inode uint64, ok bool) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Fstat(fd, &st) != nil || unix.Fstatfs(fd, &fs) != nil || fs.Type != unix.PIPEFS_MAGIC {
		return 0, false
	}
	return st.Ino, true
}

// hasOpenStdin says whether there is a stdin that nobody has closed for good.
func (s state) hasOpenStdin() bool {
	return s.Create.OpenStdin && !s.Create.Tty && !s.StdinClosed
}

// reopenStdin makes a write end of the stdin of a container that is adopted; nil
// if nobody reads it any more. A pipe is reached through any process that has it
// open: mostly the first one, which may also have passed it on.
func (c *container) reopenStdin() *os.File {
	inode := c.state.StdinInode
	if inode == 0 { // made for a daemon of an earlier version
		f, _ := openInput(filepath.Join(c.dir, "stdin"))
		return f
	}
	first := c.state.Process.Pid
	if f := openPipe(fmt.Sprintf("/proc/%d/fd/0", first), inode); f != nil {
		return f
	}
	pids := []int{first}
	if p, ok := c.driver.(execdriver.Pidser); ok {
		more, err := p.Pids(context.Background(), c.id)
		if err != nil {
			logrus.Warnf("container %s: look for who reads its stdin: %v", c.id, err)
		}
		pids = append(pids, more...)
	}
	for _, pid := range pids {
		if f := pipeOf(pid, inode); f != nil {
			return f
		}
	}
	return nil
}

// pipeOf looks among all descriptors of a process.
func pipeOf(pid int, inode uint64) *os.File {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir) // it may have ended
	want := "pipe:[" + strconv.FormatUint(inode, 10) + "]"
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if name, err := os.Readlink(path); err != nil || name != want {
			continue
		}
		if f := openPipe(path, inode); f != nil {
			return f
		}
	}
	return nil
}

// openPipe opens a process's descriptor for writing if it is the pipe with this
// inode. The process may replace it at any moment, and to open a device, say, has
// effects: so it is first got hold of, then looked at, and only then opened.
func openPipe(path string, inode uint64) *os.File {
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(at)
	if have, ok := pipeInode(at); !ok || have != inode {
		return nil
	}
	f, err := openInput(fmt.Sprintf("/proc/self/fd/%d", at))
	if err != nil {
		return nil
	}
	return f
}

// closeStdin closes our write end, so that the container sees the end of its
// input once the daemon has closed its own. It is remembered: an adopter must
// not open it again.
func (s *supervisor) closeStdin(q protocol.Target) (reply, error) {
	c, err := s.find(q.ID)
	if err != nil {
		return reply{}, err
	}
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	f, open := c.stdin, c.state.hasOpenStdin()
	c.stdin = nil
	c.state.StdinClosed = true
	st := c.state
	c.mu.Unlock()
	if open && !c.isEnded() {
		err = st.save(c.dir)
	}
	if f != nil {
		f.Close()
	}
	return reply{}, err
}
