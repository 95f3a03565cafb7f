package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// The groups that may use the socket when nobody says otherwise: docker's,
// so that its members need not be added again, else our own.
var defaultGroups = []string{"docker", "engine"}

func (b *binder) bindUnix(path string) (*listener, error) {
	if path == "" {
		return nil, errs.Invalid("the path is missing")
	}
	if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		return nil, errs.Invalid("the path has %d bytes, a socket's may have %d", len(path), len(unix.RawSockaddrUnix{}.Path)-1)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := unlinkStale(path); err != nil {
		return nil, err
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	// Go would unlink whatever has the name by then.
	ul.SetUnlinkOnClose(false)
	mine, err := os.Lstat(path)
	if err == nil {
		err = b.openToGroup(path)
	}
	if err != nil {
		ul.Close()
		os.Remove(path)
		return nil, err
	}
	return &listener{Listener: ul, address: "unix://" + path, close: func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, mine) {
			os.Remove(path)
		}
		ul.Close()
	}}, nil
}

// unlinkStale removes a socket that nobody listens on any more.
func unlinkStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSocket == 0 {
		return errs.Conflict("the file exists and is not a socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return errs.Conflict("another program listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return errs.Conflict("cannot tell whether another program listens there: %w", err)
	}
	return os.Remove(path)
}

// listenPrivately makes a socket that only its owner can use. The kernel takes
// the mode of the file from the socket's own, so that no umask, which is the
// whole process's, needs to be changed and there is no moment of wider rights.
func listenPrivately(path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		if err := c.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) }); err != nil {
			return err
		}
		return chmod
	}}
	return lc.Listen(context.Background(), "unix", path)
}

// openToGroup lets the members of the socket's group in.
func (b *binder) openToGroup(path string) error {
	gid, err := b.socketGID()
	if err != nil {
		return err
	}
	if gid >= 0 {
		if err := os.Lchown(path, -1, gid); err != nil {
			if b.in.SocketGroup != "" {
				return err
			}
			b.log.Debugf("socket %s stays with its group: %v", path, err)
			return nil
		}
	}
	return os.Chmod(path, 0o660)
}

// socketGID is the group of the socket, -1 to leave it as it is.
func (b *binder) socketGID() (int, error) {
	if name := b.in.SocketGroup; name != "" {
		if gid, err := strconv.ParseUint(name, 10, 31); err == nil {
			return int(gid), nil
		}
		g, err := user.LookupGroup(name)
		if err != nil {
			return -1, errs.Invalid("group %q: %w", name, err)
		}
		return strconv.Atoi(g.Gid)
	}
	for _, name := range defaultGroups {
		if g, err := user.LookupGroup(name); err == nil {
			return strconv.Atoi(g.Gid)
		}
	}
	b.log.Debugf("there is no group docker or engine: the socket is root's alone")
	return -1, nil
}
