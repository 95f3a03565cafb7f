package client

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// ContainerDir is the folder of a container's run-time files, for spool.OpenReader.
func ContainerDir(execRoot, id string) string { return protocol.ContainerDir(execRoot, id) }

// BundleDir is where the OCI bundle of a container belongs.
func BundleDir(execRoot, id string) string { return protocol.BundleDir(execRoot, id) }

// Input is a write end of a container's stdin.
type Input struct {
	*os.File
	c *Client
	h *held
}

// OpenStdin gives a write end of a container's stdin, which was created with
// OpenStdin and without a terminal. A write waits in the poller; it fails with
// EPIPE when the container has closed its end, and with os.ErrClosed after a
// CloseStdin. execdriver.ErrNotRunning if nobody reads that any more.
func (c *Client) OpenStdin(id string) (*Input, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held[id]
	if h == nil || h.stdin < 0 || !hasReader(h.stdin) {
		return nil, execdriver.ErrNotRunning
	}
	f := fileOf(h.stdin)
	if f == nil {
		return nil, os.NewSyscallError("fcntl", unix.EMFILE)
	}
	in := &Input{f, c, h}
	if h.inputs == nil {
		h.inputs = map[*Input]struct{}{}
	}
	h.inputs[in] = struct{}{}
	return in, nil
}

// Close lets go of this write end; others stay.
func (in *Input) Close() error {
	in.c.mu.Lock()
	delete(in.h.inputs, in)
	in.c.mu.Unlock()
	return in.File.Close()
}

// hasReader says whether anybody could read what is written into a pipe.
func hasReader(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&unix.POLLERR == 0
}

// Resize sets the size of a terminal, given its master.
func Resize(tty *os.File, rows, cols uint16) error {
	raw, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	if err := raw.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	}); err != nil {
		return err
	}
	return ierr
}
