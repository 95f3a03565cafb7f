package client

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// ContainerDir is the folder of a container's run-time files, for spool.OpenReader.
func ContainerDir(execRoot, id string) string { return protocol.ContainerDir(execRoot, id) }

// BundleDir is where the OCI bundle of a container belongs.
func BundleDir(execRoot, id string) string { return protocol.BundleDir(execRoot, id) }

// OpenStdin opens a container's stdin for writing; it was created with OpenStdin
// and without a terminal. A write waits in the poller, and fails with EPIPE when
// the container has closed its end. execdriver.ErrNotRunning if it has already.
func (c *Client) OpenStdin(id string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(protocol.ContainerDir(c.o.ExecRoot, id), "stdin"), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, execdriver.ErrNotFound
	case errors.Is(err, unix.ENXIO):
		return nil, execdriver.ErrNotRunning
	}
	return f, err
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
