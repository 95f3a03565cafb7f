package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/supervisor/protocol"
)

// ErrTooOld is returned for supervisors that came before upgrades.
var ErrTooOld = errors.New("it is too old to be upgraded in place, and will be replaced when its containers have ended")

// Upgrade makes the running supervisor become the program of Options.Command,
// in place: its process, and so its containers, their output and their execs go
// on. If that fails the supervisor goes on as it was.
func (c *Client) Upgrade(ctx context.Context) error {
	program, err := c.program()
	if err != nil {
		return err
	}
	defer program.Close()
	was, err := c.current(ctx)
	if err != nil {
		return err
	}
	if was.hello.Version < 2 {
		return fmt.Errorf("supervisor %d: %w", was.hello.Pid, ErrTooOld)
	}
	body, err := json.Marshal(protocol.Upgrade{Build: c.o.Build})
	if err != nil {
		return err
	}
	c.upgrading.Store(true)
	defer c.upgrading.Store(false)
	a, err := was.call(ctx, protocol.OpUpgrade, body, []*os.File{program})
	switch {
	case errors.Is(err, errLost): // as it has to be
		c.unset(was)
	case err != nil:
		return err
	case a.Error != nil:
		protocol.CloseAll(a.files)
		return a.Error
	}
	is, err := c.current(ctx)
	switch {
	case err != nil:
		return err
	case is.hello.Pid != was.hello.Pid:
		return fmt.Errorf("supervisor %d died while it was upgraded, %d has taken over", was.hello.Pid, is.hello.Pid)
	case is.hello.Build != c.o.Build:
		return fmt.Errorf("supervisor %d is of build %q after its upgrade to %q", is.hello.Pid, is.hello.Build, c.o.Build)
	}
	c.o.Log("supervisor %d was upgraded in place", is.hello.Pid)
	return nil
}

// program opens what Command would run.
func (c *Client) program() (*os.File, error) {
	cmd, err := c.command()
	if err != nil {
		return nil, err
	}
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	// A path is enough: the file itself may not be readable.
	fd, err := unix.Open(cmd.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: cmd.Path, Err: err}
	}
	return os.NewFile(uintptr(fd), cmd.Path), nil
}
