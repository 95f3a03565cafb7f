package client

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/internal/phase"
	"github.com/moby/moby/api/types/container"
)

// Containers has the commands that deal with containers.
type Containers struct{}

// CmdContainer is the group of container commands.
func (Containers) CmdContainer(c *Cmd, args ...string) error {
	return c.Group("container", "Manage containers", args)
}

// CmdRun makes a container, starts it, and stays with it until it ends unless
// told otherwise.
func (Containers) CmdRun(c *Cmd, args ...string) error {
	c.Describe("run [OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image", "container run").Common(1)
	var f createFlags
	options := f.declare(c, "running")
	detach := c.Flags().BoolP("detach", "d", false, "Run container in background and print container ID")
	sigProxy := c.Flags().Bool("sig-proxy", true, "Proxy received signals to the process")
	keys := c.Flags().String("detach-keys", "", "Override the key sequence for detaching a container")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	if err := f.finish(c, options, args); err != nil {
		return err
	}
	config := &options.Config
	if *detach {
		if len(options.Attach) > 0 {
			return errors.New("conflicting options: cannot specify both --attach and --detach")
		}
		config.AttachStdin, config.AttachStdout, config.AttachStderr, config.StdinOnce = false, false, false, false
	} else if err := c.needTerminal(config.AttachStdin, config.Tty); err != nil {
		return err
	}

	id, err := c.create(c.Context(), options, f)
	if err != nil {
		return runError(err)
	}
	phase.Mark("client", "create answered")
	if *sigProxy {
		defer c.forwardSignals(id)()
	}
	r := foreground{
		id:      id,
		config:  config,
		stdin:   config.AttachStdin,
		stdout:  config.AttachStdout,
		stderr:  config.AttachStderr,
		removed: options.Host.AutoRemove,
		keys:    c.detachKeys(*keys),
	}
	if !r.stdin && !r.stdout && !r.stderr {
		c.println(id)
		return runError(c.API().Post(c.background(), "/containers/"+id+"/start", nil, nil, nil))
	}
	code, err := c.runForeground(r, runError)
	if err != nil {
		return err
	}
	return exitWith(code)
}

// foreground is a container to start with the CLI attached to it.
type foreground struct {
	id                    string
	config                *container.Config
	stdin, stdout, stderr bool
	removed               bool // by the daemon when it ends
	keys                  string
}

// runForeground attaches, asks for the end, starts, and copies the streams
// until the end; it returns the exit code, 0 after the detach keys. The order
// is what makes it complete: no output is lost and no early end is missed.
// An error of the start goes through explain.
func (c *Cmd) runForeground(r foreground, explain func(error) error) (int, error) {
	// The streams outlive the user's first interrupt: that is the container's to handle.
	ctx, cancel := context.WithCancel(c.background())
	defer cancel()
	condition := container.WaitConditionNextExit
	if r.removed {
		condition = container.WaitConditionRemoved
	}
	// Both must be open before the start; neither has to wait for the other.
	var ended <-chan waitResult
	var waitErr error
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		ended, waitErr = c.openWait(ctx, r.id, condition)
	}()
	conn, err := c.attach(ctx, r)
	if err != nil {
		return 0, err
	}
	phase.Mark("client", "attached")
	defer conn.Close()
	copied := make(chan error, 1)
	go func() { copied <- c.copyStreams(ctx, conn, r.streams(c)) }()

	path := "/containers/" + r.id
	<-opened
	err = waitErr
	phase.Mark("client", "wait opened")
	if err == nil {
		if err = c.API().Post(ctx, path+"/start", nil, nil, nil); err != nil && r.removed {
			<-ended
		}
	}
	phase.Mark("client", "start answered")
	if err != nil {
		cancel()
		<-copied // the terminal is itself again
		return 0, explain(err)
	}
	if _, ok := terminal(c.Out); ok && r.config.Tty {
		defer c.followSize(path)()
	}
	select {
	case err := <-copied:
		if detached(err) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		defer phase.Mark("client", "end told")
		return c.exitCode(<-ended), nil
	case result := <-ended:
		// Output may still be under way; without any there is only the input to stop.
		if !r.stdout && !r.stderr {
			cancel()
		}
		<-copied
		return c.exitCode(result), nil
	}
}

func (r foreground) streams(c *Cmd) streams {
	s := streams{tty: r.config.Tty, keys: r.keys}
	if r.stdin {
		s.in = c.In
	}
	if r.stdout {
		s.out = c.Out
	}
	if r.stderr {
		s.err = c.Err
		if r.config.Tty && r.stdout {
			s.err = c.Out
		}
	}
	return s
}

// attach opens the streams that r wants.
func (c *Cmd) attach(ctx context.Context, r foreground) (*api.Conn, error) {
	query := url.Values{"stream": {"1"}}
	for name, wanted := range map[string]bool{"stdin": r.stdin, "stdout": r.stdout, "stderr": r.stderr} {
		if wanted {
			query.Set(name, "1")
		}
	}
	if r.keys != "" {
		query.Set("detachKeys", r.keys)
	}
	return c.API().Hijack(ctx, "/containers/"+r.id+"/attach", query, nil)
}

// runError gives a failed run the exit code that shells know: 127 for a
// program that is not there, 126 for one that cannot be run, else 125. The API
// has no other way to tell them than the text, which clients of docker read too.
func runError(err error) error {
	if err == nil {
		return nil
	}
	text, code := err.Error(), 125
	switch {
	case strings.Contains(text, "executable file not found"), strings.Contains(text, "no such file or directory"):
		code = 127
	case strings.Contains(text, "permission denied"), strings.Contains(text, "is a directory"):
		code = 126
	}
	return withHint(err, "run", code)
}
