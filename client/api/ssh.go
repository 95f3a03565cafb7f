package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"time"
)

// dialSSH reaches a daemon on another machine through the command that docker
// and engine both have there for this: "system dial-stdio".
func dialSSH(_ context.Context, host string) (net.Conn, error) {
	u, err := url.Parse(host)
	if err != nil {
		return nil, err
	}
	args := []string{"-o", "ConnectTimeout=30", "-T"}
	if name := u.User.Username(); name != "" {
		args = append(args, "-l", name)
	}
	if port := u.Port(); port != "" {
		args = append(args, "-p", port)
	}
	args = append(args, "--", u.Hostname(), "docker")
	if u.Path != "" && u.Path != "/" {
		args = append(args, "--host", "unix://"+u.Path)
	}
	args = append(args, "system", "dial-stdio")

	// The process must outlive the request that opened the connection, so it
	// is not bound to the request's context; Close ends it.
	cmd := exec.Command("ssh", args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start ssh: %w", err)
	}
	return &processConn{cmd: cmd, in: in, out: out}, nil
}

// processConn is a connection whose other end is a process's standard streams.
type processConn struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
}

func (c *processConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *processConn) Write(p []byte) (int, error) { return c.in.Write(p) }
func (c *processConn) CloseWrite() error           { return c.in.Close() }

func (c *processConn) Close() error {
	c.in.Close()
	c.out.Close()
	timer := time.AfterFunc(3*time.Second, func() { c.cmd.Process.Kill() })
	defer timer.Stop()
	c.cmd.Wait() // ssh's own status says nothing about the API call
	return nil
}

func (c *processConn) LocalAddr() net.Addr              { return processAddr{} }
func (c *processConn) RemoteAddr() net.Addr             { return processAddr{} }
func (c *processConn) SetDeadline(time.Time) error      { return nil }
func (c *processConn) SetReadDeadline(time.Time) error  { return nil }
func (c *processConn) SetWriteDeadline(time.Time) error { return nil }

type processAddr struct{}

func (processAddr) Network() string { return "process" }
func (processAddr) String() string  { return "process" }
