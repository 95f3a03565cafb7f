package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/client/config"
	"github.com/jobengine/engine/internal/phase"
)

// CLI runs commands. Make one with New.
type CLI struct {
	In       io.Reader
	Out, Err io.Writer

	receivers []any
	globals   globals
	config    func() *config.File         // once, when first needed
	connected func() (*api.Client, error) // likewise
}

// Option changes a CLI at its making.
type Option func(*CLI)

// With adds a receiver of commands; its Cmd* methods take part in dispatch and
// help. One that comes later wins over an earlier one's method of the same name.
func With(receiver any) Option {
	return func(c *CLI) { c.receivers = append(c.receivers, receiver) }
}

// WithStreams replaces the standard streams.
func WithStreams(in io.Reader, out, err io.Writer) Option {
	return func(c *CLI) { c.In, c.Out, c.Err = in, out, err }
}

// New makes a CLI with the built-in commands and those of the options.
func New(opts ...Option) *CLI {
	c := &CLI{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		receivers: []any{Containers{}, Images{}, Networks{}, Registries{}, System{}, Jobs{}},
	}
	c.config = sync.OnceValue(c.loadConfig)
	c.connected = sync.OnceValues(c.connect)
	for _, o := range opts {
		o(c)
	}
	return c
}

// Main runs one command line, without the program's name, and returns the exit code.
func Main(args []string, opts ...Option) int {
	return New(opts...).Run(interruptible(context.Background()), args)
}

// Run runs one command line and returns the exit code; errors are printed.
func (c *CLI) Run(ctx context.Context, args []string) int {
	phase.Mark("client", "process begins")
	err := c.run(ctx, args)
	var status *StatusError
	var signal interrupted
	switch {
	case err == nil, errors.Is(err, errDescribed):
		return 0
	case errors.As(err, &status):
		if status.Text != "" {
			fmt.Fprintln(c.Err, status.Text)
		}
		return status.Code
	case errors.As(err, &signal):
		return 128 + int(signal.signal)
	case errors.Is(err, context.Canceled):
		return 0 // the user left a stream
	}
	fmt.Fprintln(c.Err, err)
	return 1
}

func (c *CLI) run(ctx context.Context, args []string) error {
	args, err := c.parseGlobals(args)
	if err != nil {
		return err
	}
	if c.globals.version && len(args) == 0 {
		c.printShortVersion()
		return nil
	}
	if len(args) == 0 {
		return c.topHelp(ctx, c.Err)
	}
	return c.dispatch(ctx, args)
}

// StatusError ends a command with an exit code of its own and a text, which
// may be empty, on standard error.
type StatusError struct {
	Code int
	Text string
}

func (e *StatusError) Error() string { return e.Text }

// exitWith is nil for code 0.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &StatusError{Code: code}
}
