package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Patience bounds every command that a harness runs. It ends a test that hangs
// and is never part of a claim.
const Patience = 60 * time.Second

// Result is what a command left.
type Result struct {
	Stdout, Stderr string
	Code           int // 128 + signal when one ended it
}

// Out is stdout without surrounding space.
func (r Result) Out() string { return strings.TrimSpace(r.Stdout) }

func (r Result) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
}

// Command is a command line against a daemon, before it runs.
type Command struct {
	Path  string
	Args  []string
	Env   []string // added to a small clean environment
	Dir   string
	Stdin io.Reader // none: /dev/null
	// Patience, when not zero, replaces the package's.
	Patience time.Duration
}

// Run runs it to its end. An error means that it could not start or had to be
// killed; a code other than zero is no error.
func (c Command) Run(ctx context.Context) (Result, error) {
	patience := c.Patience
	if patience == 0 {
		patience = Patience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := c.prepare(ctx)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	res := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	if ctx.Err() != nil {
		return res, fmt.Errorf("%s %s: killed after %s\n%s", c.Path, strings.Join(c.Args, " "), patience, res)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		res.Code = code(exit.ProcessState)
	case err != nil:
		return res, fmt.Errorf("%s: %w", c.Path, err)
	}
	return res, nil
}

func (c Command) prepare(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(CleanEnv(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin = c.Stdin
	// A client may have children; the whole group goes when patience ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

func code(state *os.ProcessState) int {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// CleanEnv is the environment of every command: nothing of the caller's that
// could change an answer.
func CleanEnv() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/nonexistent", "DOCKER_CONFIG=/nonexistent", "LANG=C.UTF-8", "TZ=UTC", "TERM=xterm",
	}
}
