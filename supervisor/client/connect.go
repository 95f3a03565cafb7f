package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/supervisor/protocol"
)

// connect reaches the running supervisor, or starts one and reaches that.
func (c *Client) connect(ctx context.Context) (*link, error) {
	conn, err := dial(ctx, c.o.ExecRoot)
	if err != nil {
		if !nobodyListens(err) {
			return nil, err
		}
		if err := c.start(ctx); err != nil {
			return nil, err
		}
		// The listening socket was there before the supervisor, so this cannot be too early.
		if conn, err = dial(ctx, c.o.ExecRoot); err != nil {
			return nil, err
		}
	}
	l := newLink(conn, c.told)
	hello, err := json.Marshal(protocol.Hello{Exits: true, Version: protocol.Version, Drivers: c.o.Drivers})
	if err != nil {
		return nil, err
	}
	a, err := l.call(ctx, protocol.OpHello, hello, nil)
	if err == nil && a.Error != nil {
		err = a.Error
	}
	if err == nil {
		err = json.Unmarshal(a.Body, &l.hello)
	}
	mayChange := l.hello.Version >= 2 && c.o.Build != "" && l.hello.Build != c.o.Build
	if err == nil && l.hello.Problem != "" && !mayChange {
		err = &problemError{l.hello.Problem}
		// It serves nobody as it is, and ends if it has no containers.
		_, _ = l.call(ctx, protocol.OpShutdown, []byte("{}"), nil)
	} else if err == nil && len(c.o.Drivers) > 0 && !l.hello.Configured && !mayChange {
		err = fmt.Errorf("the running supervisor %d is too old for options of exec drivers: stop its containers first", l.hello.Pid)
	}
	if err != nil {
		l.conn.Close()
		return nil, fmt.Errorf("%w (see %s)", err, logPath(c.o.ExecRoot))
	}
	l.conn.Speak(protocol.Spoken(l.hello.Version))
	return l, nil
}

// problemError is what a supervisor finds wrong with its drivers. Asking again does not help.
type problemError struct{ text string }

func (e *problemError) Error() string { return e.text }

func nobodyListens(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}

func dial(ctx context.Context, execRoot string) (*protocol.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, protocol.Network, protocol.SocketPath(execRoot))
	if err != nil {
		return nil, err
	}
	return protocol.NewConn(conn.(*net.UnixConn)), nil
}

// start starts a supervisor. It gets the listening socket, so that whoever
// connects meanwhile waits instead of being refused.
func (c *Client) start(ctx context.Context) error {
	root := c.o.ExecRoot
	lock, err := os.OpenFile(filepath.Join(root, "supervisor.start"), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if conn, err := dial(ctx, root); err == nil { // another one was faster
		return conn.Close()
	} else if !nobodyListens(err) { // and must keep its socket
		return err
	}

	cmd, err := c.command()
	if err != nil {
		return err
	}
	listener, err := listen(protocol.SocketPath(root))
	if err != nil {
		return err
	}
	defer listener.Close()
	log, err := os.OpenFile(logPath(root), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Args = []string{protocol.Name, "--exec-root", root, "--fd", "3", "--log-level", c.o.LogLevel, "--build", c.o.Build}
	cmd.ExtraFiles = []*os.File{listener}
	cmd.Stdin = nil
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.Env = withoutActivation(cmd.Environ())
	if err := cmd.Start(); err != nil {
		return err
	}
	// It may die before we do, and must not stay a zombie then.
	go func() {
		if err := cmd.Wait(); err != nil {
			c.o.Log("supervisor %d: %v", cmd.Process.Pid, err)
		}
	}()
	return nil
}

func (c *Client) command() (*exec.Cmd, error) {
	if c.o.Command != nil {
		return c.o.Command()
	}
	return exec.Command("/proc/self/exe"), nil
}

// listen makes the supervisor's socket, for its user only.
func listen(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix(protocol.Network, &net.UnixAddr{Name: path, Net: protocol.Network})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	return l.File()
}

func logPath(execRoot string) string { return filepath.Join(execRoot, "supervisor.log") }

// withoutActivation drops what systemd has told the daemon and nobody else.
func withoutActivation(env []string) []string {
	var kept []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC":
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

func isBroken(err error) bool {
	return errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) || errors.Is(err, net.ErrClosed)
}
