package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jobengine/engine/client/api"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/term"
)

// streams are the CLI's ends of a container's or an exec's streams. A nil one
// is not attached.
type streams struct {
	in       io.Reader
	out, err io.Writer
	tty      bool   // one raw stream both ways, and our terminal is made raw
	keys     string // the detach keys; "" is ctrl-p,ctrl-q
}

// detached says that the user typed the detach keys.
func detached(err error) bool {
	var escape term.EscapeError
	return errors.As(err, &escape)
}

// copyStreams connects s with conn until the output ends, the user detaches,
// or ctx ends. With nothing to read from the container it ends with the input.
func (c *Cmd) copyStreams(ctx context.Context, conn *api.Conn, s streams) error {
	restore := func() {}
	if s.in != nil && s.tty {
		var err error
		if restore, err = c.makeRaw(); err != nil {
			return fmt.Errorf("unable to setup input stream: unable to set IO streams as raw terminal: %w", err)
		}
		defer restore()
		s.in = term.NewEscapeProxy(s.in, s.escapeKeys())
	}

	outputDone := make(chan error, 1)
	if s.out != nil || s.err != nil {
		go func() {
			outputDone <- s.copyOutput(conn)
			restore()
		}()
	}
	inputDone := make(chan error, 1)
	go func() {
		var err error
		if s.in != nil {
			_, err = io.Copy(conn, s.in)
			restore()
		}
		if !detached(err) {
			err = nil // a broken connection shows on the output's side
			conn.CloseWrite()
		}
		inputDone <- err
	}()

	for {
		select {
		case err := <-outputDone:
			return err
		case err := <-inputDone:
			if err != nil || s.out == nil && s.err == nil {
				return err
			}
			inputDone = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s streams) copyOutput(conn io.Reader) error {
	if s.tty && s.out != nil {
		_, err := io.Copy(s.out, conn)
		return err
	}
	return demultiplex(s.out, s.err, conn)
}

// demultiplex splits the daemon's frames into output and errors; a nil writer drops its part.
func demultiplex(out, err io.Writer, from io.Reader) error {
	if out == nil {
		out = io.Discard
	}
	if err == nil {
		err = io.Discard
	}
	_, failed := stdcopy.StdCopy(out, err, from)
	return failed
}

func (s streams) escapeKeys() []byte {
	if s.keys != "" {
		if keys, err := term.ToBytes(s.keys); err == nil {
			return keys
		}
	}
	return []byte{16, 17} // ctrl-p, ctrl-q
}

// detachKeys is the flag's value or else the config file's.
func (c *Cmd) detachKeys(flag string) string {
	if flag != "" {
		return flag
	}
	return c.Config().DetachKeys
}

// background is the command's context without its end: for what must go on
// after the user's first interrupt.
func (c *Cmd) background() context.Context { return context.WithoutCancel(c.ctx) }
