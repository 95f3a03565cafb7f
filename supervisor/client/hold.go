package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// held are descriptors of a running container that the daemon keeps only so that
// they outlive a supervisor that dies: the pidfd knows the exit code even when
// the process is gone, a terminal without a master hangs up, a stdin without a
// writer ends, and what is in a FIFO that nobody holds is lost.
type held struct {
	pid                   int
	pidfd, tty            *os.File
	stdin, stdout, stderr int                 // pipes, not read or written through these; -1: none
	inputs                map[*Input]struct{} // what OpenStdin has given
}

// hold keeps duplicates of what Create or Take gave; stdin becomes its own. With
// hasStdin a supervisor of an earlier version that gave none has it as a FIFO.
func (c *Client) hold(id string, s Started, stdin *os.File, hasStdin bool) {
	h := &held{pid: s.Pid, stdin: -1, stdout: -1, stderr: -1}
	h.pidfd = duplicate(s.PidFD)
	dir := protocol.ContainerDir(c.o.ExecRoot, id)
	if s.TTY != nil {
		h.tty = duplicate(s.TTY)
	} else {
		h.stdout = openFIFO(filepath.Join(dir, "stdout"), unix.O_RDONLY)
		h.stderr = openFIFO(filepath.Join(dir, "stderr"), unix.O_RDONLY)
	}
	if stdin != nil {
		h.stdin = duplicateFD(stdin)
		stdin.Close()
	} else if hasStdin {
		h.stdin = openFIFO(filepath.Join(dir, "stdin"), unix.O_WRONLY)
	}
	c.mu.Lock()
	old := c.held[id]
	old.closeInputs()
	c.held[id] = h
	c.mu.Unlock()
	old.close()
}

// holdAll takes hold of the containers of a supervisor that was there before us.
func (c *Client) holdAll(ctx context.Context) error {
	list, err := c.List(ctx)
	if err != nil {
		return err
	}
	for _, entry := range list {
		if entry.State == protocol.StateExited {
			continue
		}
		s, stdin, err := c.takeProcess(ctx, protocol.OpTake, protocol.Target{ID: entry.ID}, nil)
		if errors.Is(err, execdriver.ErrNotRunning) || errors.Is(err, execdriver.ErrNotFound) {
			continue // it has ended meanwhile
		} else if err != nil {
			return err
		}
		c.hold(entry.ID, s, stdin, entry.StdinOpen)
		protocol.CloseAll([]*os.File{s.PidFD, s.TTY})
	}
	return nil
}

// giveBack hands to a new supervisor what it could not find itself.
func (c *Client) giveBack(l *link) {
	type gift struct {
		id                string
		pidfd, tty, stdin *os.File
	}
	var gifts []gift
	c.mu.Lock()
	for id, h := range c.held {
		g := gift{id: id, pidfd: duplicate(h.pidfd), tty: duplicate(h.tty)}
		if h.stdin >= 0 && l.hello.Version >= protocol.StdinComesAlong {
			g.stdin = fileOf(h.stdin)
		}
		if g.pidfd != nil {
			gifts = append(gifts, g)
		} else {
			protocol.CloseAll([]*os.File{g.tty, g.stdin})
		}
	}
	c.mu.Unlock()
	for _, g := range gifts {
		files := []*os.File{g.pidfd}
		if g.tty != nil {
			files = append(files, g.tty)
		}
		if g.stdin != nil {
			files = append(files, g.stdin)
		}
		err := l.do(c.ending, protocol.OpGive, protocol.Give{ID: g.id, TTY: g.tty != nil, Stdin: g.stdin != nil}, files...)
		if err != nil && !errors.Is(err, execdriver.ErrNotFound) && !errors.Is(err, errLost) && c.ending.Err() == nil {
			c.o.Log("supervisor: hand over container %s: %v", g.id, err)
		}
		protocol.CloseAll(files)
	}
}

func (c *Client) release(id string) {
	c.mu.Lock()
	h := c.held[id]
	h.closeInputs()
	delete(c.held, id)
	c.mu.Unlock()
	h.close()
}

// releaseRun lets go of a container whose process has ended. The end of a former run
// may be told after the next one has begun, which must not lose what is held for it.
func (c *Client) releaseRun(id string, pid int) {
	c.mu.Lock()
	h := c.held[id]
	if h != nil && h.pid != pid {
		h = nil
	} else {
		h.closeInputs()
		delete(c.held, id)
	}
	c.mu.Unlock()
	h.close()
}

func (c *Client) releaseStdin(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[id]; h != nil {
		closeFD(&h.stdin)
		h.closeInputs()
	}
}

// closeInputs closes what OpenStdin has given. Client.mu is locked.
func (h *held) closeInputs() {
	if h == nil {
		return
	}
	for in := range h.inputs {
		in.File.Close()
	}
	h.inputs = nil
}

func (c *Client) releaseAll() {
	c.mu.Lock()
	all := c.held
	c.held = map[string]*held{}
	c.mu.Unlock()
	for _, h := range all {
		h.close()
	}
}

func (h *held) close() {
	if h == nil {
		return
	}
	protocol.CloseAll([]*os.File{h.pidfd, h.tty})
	for _, fd := range []*int{&h.stdin, &h.stdout, &h.stderr} {
		closeFD(fd)
	}
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

// openFIFO gives -1 where there is none, or nobody at the other end.
func openFIFO(path string, mode int) int {
	fd, err := unix.Open(path, mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// duplicate gives nil for nil, and where there is no descriptor left.
func duplicate(f *os.File) *os.File {
	if f == nil {
		return nil
	}
	fd := duplicateFD(f)
	if fd < 0 {
		return nil
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// duplicateFD gives -1 where there is no descriptor left.
func duplicateFD(f *os.File) int {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1
	}
	dup := -1
	_ = raw.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err != nil {
		return -1
	}
	return dup
}

// fileOf makes a file of a duplicate of fd; nil where there is no descriptor left.
func fileOf(fd int) *os.File {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(dup), "stdin")
}
