package oci

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/console"
)

// bridge is a socket with a path, which is what a runtime wants to send a
// terminal's master to; the contract has one end of a pair without any.
type bridge struct {
	path     string
	file     string
	dir      *os.File
	listener *net.UnixListener
}

func openBridge(dir string) (*bridge, error) {
	// A socket's path has at most 107 bytes: this one is short wherever dir is.
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	b := &bridge{dir: f, file: filepath.Join(dir, "console")}
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { b.path = fmt.Sprintf("/proc/%d/fd/%d/console", os.Getpid(), fd) })
	}
	if err == nil {
		b.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: b.path, Net: "unix"})
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	b.listener.SetUnlinkOnClose(false)
	return b, nil
}

func (b *bridge) close() {
	b.listener.Close()
	_ = os.Remove(b.file)
	b.dir.Close()
}

// forward passes on the master that the runtime has sent. It is there already
// when the runtime has ended well.
func (b *bridge) forward(to *os.File) error {
	if to == nil {
		return errors.New("a terminal needs a console socket")
	}
	if err := b.listener.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	conn, err := b.listener.AcceptUnix()
	if err != nil {
		return fmt.Errorf("no terminal from the runtime: %w", err)
	}
	defer conn.Close()
	sock, err := conn.File()
	if err != nil {
		return err
	}
	defer sock.Close()
	master, err := console.Receive(sock)
	if err != nil {
		return fmt.Errorf("no terminal from the runtime: %w", err)
	}
	defer master.Close()
	return sendFile(to, master)
}

func sendFile(to, f *os.File) error {
	sock, err := to.SyscallConn()
	if err != nil {
		return err
	}
	file, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = file.Control(func(fd uintptr) {
		if err := sock.Control(func(sockfd uintptr) {
			serr = unix.Sendmsg(int(sockfd), []byte("master"), unix.UnixRights(int(fd)), nil, 0)
		}); err != nil {
			serr = err
		}
	})
	return errors.Join(err, os.NewSyscallError("sendmsg", serr))
}
