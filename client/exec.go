package client

import (
	"errors"

	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/client/runconfig"
	"github.com/moby/moby/api/types/container"
)

// CmdExec runs another process in a running container.
func (Containers) CmdExec(c *Cmd, args ...string) error {
	c.Describe("exec [OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container", "container exec").Common(2)
	f := c.Flags()
	f.SetInterspersed(false)
	var request container.ExecCreateRequest
	var env, envFiles []string
	keys := f.String("detach-keys", "", "Override the key sequence for detaching a container")
	stdin := f.BoolP("interactive", "i", false, "Keep STDIN open even if not attached")
	f.BoolVarP(&request.Tty, "tty", "t", false, "Allocate a pseudo-TTY")
	detach := f.BoolP("detach", "d", false, "Detached mode: run command in the background")
	f.StringVarP(&request.User, "user", "u", "", `Username or UID (format: "<name|uid>[:<group|gid>]")`)
	f.BoolVar(&request.Privileged, "privileged", false, "Give extended privileges to the command")
	f.VarP(runconfig.EnvList(&env), "env", "e", "Set environment variables")
	f.Var(runconfig.List(&envFiles), "env-file", "Read in a file of environment variables")
	f.StringVarP(&request.WorkingDir, "workdir", "w", "", "Working directory inside the container")
	args, err := c.Parse(args, AtLeast(2))
	if err != nil {
		return err
	}
	if request.Env, err = runconfig.Env(envFiles, env); err != nil {
		return err
	}
	request.Cmd = args[1:]
	request.DetachKeys = c.detachKeys(*keys)
	if !*detach {
		request.AttachStdin, request.AttachStdout, request.AttachStderr = *stdin, true, true
		if err := c.needTerminal(*stdin, request.Tty); err != nil {
			// That there is no such container is the better news.
			if _, gone := c.API().Raw(c.Context(), "/containers/"+args[0]+"/json", nil, &struct{}{}); gone != nil {
				return gone
			}
			return err
		}
	}
	if h, w := windowSize(c.Out); request.Tty && h > 0 {
		request.ConsoleSize = &[2]uint{h, w}
	}
	var made container.ExecCreateResponse
	if err := c.API().Post(c.Context(), "/containers/"+args[0]+"/exec", nil, request, &made); err != nil {
		return err
	}
	if made.ID == "" {
		return errors.New("exec ID empty")
	}
	start := container.ExecStartRequest{Detach: *detach, Tty: request.Tty, ConsoleSize: request.ConsoleSize}
	if *detach {
		return c.API().Post(c.Context(), "/exec/"+made.ID+"/start", nil, start, nil)
	}
	return c.execAttached(made.ID, request, start)
}

func (c *Cmd) execAttached(id string, request container.ExecCreateRequest, start container.ExecStartRequest) error {
	conn, err := c.API().Hijack(c.Context(), "/exec/"+id+"/start", nil, start)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := streams{out: c.Out, err: c.Err, tty: request.Tty, keys: request.DetachKeys}
	if request.AttachStdin {
		s.in = c.In
	}
	if _, ok := terminal(c.In); ok && request.Tty {
		defer c.followSize("/exec/" + id)()
	}
	if err := c.copyStreams(c.Context(), conn, s); err != nil {
		return err
	}
	var done container.ExecInspectResponse
	if err := c.API().Get(c.Context(), "/exec/"+id+"/json", nil, &done); err != nil {
		var lost *api.ConnectionError
		if errors.As(err, &lost) {
			return &StatusError{Code: 255} // the daemon went away under it
		}
		return err
	}
	if done.ExitCode == nil {
		return nil
	}
	return exitWith(*done.ExitCode)
}
