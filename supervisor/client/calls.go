package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/console"
	"github.com/jobengine/engine/supervisor/protocol"
)

// Started is a process that was started. The files are the receiver's to close.
type Started struct {
	Pid       int
	StartTime uint64   // clock ticks since boot
	PidFD     *os.File // non-blocking
	TTY       *os.File // pty master, non-blocking; nil without a terminal
}

// Stdio are the descriptors of an exec's process; nil ones are /dev/null. They
// stay the caller's, who closes those that only the process needs.
type Stdio struct {
	Stdin, Stdout, Stderr *os.File
}

// Expect says that a Create is likely to follow soon. It waits for nothing, and
// if there is no supervisor just now, or an old one that knows no such message,
// nothing is lost.
func (c *Client) Expect() {
	// The warmth lasts some 20 ms; one message does for all that come together.
	now := time.Now().UnixNano()
	if last := c.expected.Load(); now-last < int64(expectPause) || !c.expected.CompareAndSwap(last, now) {
		return
	}
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil {
		// A packet this small waits only if the supervisor has stopped reading.
		go func() { _ = l.conn.Send(protocol.Message{Op: protocol.OpExpect}) }()
	}
}

const expectPause = 4 * time.Millisecond

// Create makes a container whose first process waits for Start. After an error
// nothing of it is left, except the bundle.
func (c *Client) Create(ctx context.Context, q protocol.Create) (Started, error) {
	q.Op = rand.Text()
	s, stdin, err := c.takeProcess(ctx, protocol.OpCreate, q, nil)
	if errors.Is(err, errDeadly) {
		_ = c.Delete(ctx, q.ID) // the last of them may have come far
	}
	if err == nil {
		c.hold(q.ID, s, stdin, q.OpenStdin && !q.Tty)
	}
	return s, err
}

// Start lets a created container's first process run the user's program.
func (c *Client) Start(ctx context.Context, id string) error {
	return c.do(ctx, protocol.OpStart, protocol.Start{ID: id, Op: rand.Text()})
}

// Signal sends a signal to the container's first process.
func (c *Client) Signal(ctx context.Context, id string, sig syscall.Signal) error {
	return c.do(ctx, protocol.OpSignal, protocol.Signal{ID: id, Signal: int(sig)})
}

// Exec starts a further process in a running container. With a terminal, stdio
// must be empty, and the answer holds the pty's master.
func (c *Client) Exec(ctx context.Context, q protocol.Exec, stdio Stdio) (Started, error) {
	q.Op = rand.Text()
	if q.Process == nil {
		return Started{}, protocol.ErrInvalid
	}
	if q.Process.Terminal {
		return c.execTerminal(ctx, q)
	}
	q.Stdin, q.Stdout, q.Stderr = stdio.Stdin != nil, stdio.Stdout != nil, stdio.Stderr != nil
	var files []*os.File
	for _, f := range []*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr} {
		if f != nil {
			files = append(files, f)
		}
	}
	return c.startProcess(ctx, protocol.OpExec, q, files)
}

func (c *Client) execTerminal(ctx context.Context, q protocol.Exec) (Started, error) {
	ours, theirs, err := console.Pair()
	if err != nil {
		return Started{}, err
	}
	defer ours.Close()
	defer theirs.Close()
	p, err := c.startProcess(ctx, protocol.OpExec, q, []*os.File{theirs})
	if err != nil {
		return p, err
	}
	if p.TTY, err = console.Receive(ours); err != nil {
		p.PidFD.Close()
		_ = c.ExecSignal(ctx, q.Container, q.ExecID, syscall.SIGKILL)
		return Started{}, err
	}
	return p, nil
}

// ExecSignal sends a signal to a process that Exec has started.
func (c *Client) ExecSignal(ctx context.Context, id, execID string, sig syscall.Signal) error {
	return c.do(ctx, protocol.OpSignal, protocol.Signal{ID: id, ExecID: execID, Signal: int(sig)})
}

// Pause freezes all processes of a container.
func (c *Client) Pause(ctx context.Context, id string) error {
	return c.do(ctx, protocol.OpPause, protocol.Target{ID: id})
}

// Resume thaws a paused container.
func (c *Client) Resume(ctx context.Context, id string) error {
	return c.do(ctx, protocol.OpResume, protocol.Target{ID: id})
}

// Pids lists the container's processes, in the host's pid namespace.
func (c *Client) Pids(ctx context.Context, id string) ([]int, error) {
	var out protocol.Pids
	_, err := c.call(ctx, protocol.OpPids, protocol.Target{ID: id}, &out)
	return out.Pids, err
}

// Delete kills what is left of a container and removes its folder in the exec
// root, the bundle included. Its exit, if it ran, is told before. Deleting an
// absent container is not an error.
func (c *Client) Delete(ctx context.Context, id string) error {
	err := c.do(ctx, protocol.OpDelete, protocol.Target{ID: id})
	if err == nil {
		c.release(id)
	}
	return err
}

// List tells what the supervisor looks after.
func (c *Client) List(ctx context.Context) ([]protocol.Container, error) {
	var out protocol.List
	_, err := c.call(ctx, protocol.OpList, struct{}{}, &out)
	return out.Containers, err
}

// CloseStdin ends a container's stdin for good: it closes the supervisor's and
// this client's write ends, those that OpenStdin gave too.
func (c *Client) CloseStdin(ctx context.Context, id string) error {
	c.releaseStdin(id)
	return c.do(ctx, protocol.OpCloseStdin, protocol.Target{ID: id})
}

// Take gives the descriptors of a container that runs, as Create gave them.
func (c *Client) Take(ctx context.Context, id string) (Started, error) {
	return c.startProcess(ctx, protocol.OpTake, protocol.Target{ID: id}, nil)
}

// TTY gives a descriptor of a container's pty master.
func (c *Client) TTY(ctx context.Context, id string) (*os.File, error) {
	s, err := c.Take(ctx, id)
	if err != nil {
		return nil, err
	}
	s.PidFD.Close()
	if s.TTY == nil {
		return nil, fmt.Errorf("the container has no terminal: %w", execdriver.ErrNotFound)
	}
	return s.TTY, nil
}

// Shutdown lets the supervisor end as soon as it has no containers. The client
// starts no other one afterwards; Close is all that is left to do with it.
func (c *Client) Shutdown(ctx context.Context) error {
	c.shutdown.Store(true)
	err := c.do(ctx, protocol.OpShutdown, struct{}{})
	if errors.Is(err, ErrClosed) { // it was faster in ending than in answering
		return nil
	}
	return err
}

func (c *Client) do(ctx context.Context, op string, in any) error {
	files, err := c.call(ctx, op, in, nil)
	protocol.CloseAll(files)
	return err
}

var errFiles = errors.New("unexpected number of descriptors in the supervisor's answer")

func (c *Client) startProcess(ctx context.Context, op string, in any, files []*os.File) (Started, error) {
	s, stdin, err := c.takeProcess(ctx, op, in, files)
	if stdin != nil {
		stdin.Close()
	}
	return s, err
}

// takeProcess is startProcess for those who want a write end of stdin, which is
// nil where there is none.
func (c *Client) takeProcess(ctx context.Context, op string, in any, files []*os.File) (s Started, stdin *os.File, err error) {
	var p protocol.Taken
	got, err := c.call(ctx, op, in, &p, files...)
	if err != nil {
		return s, nil, err
	}
	rest := got
	if n := len(rest); p.Stdin && n > 0 {
		rest, stdin = rest[:n-1], rest[n-1]
	}
	s = Started{Pid: p.Pid, StartTime: p.StartTime}
	switch len(rest) {
	case 2:
		s.TTY = rest[1]
		fallthrough
	case 1:
		s.PidFD = rest[0]
		return s, stdin, nil
	}
	protocol.CloseAll(got)
	return Started{}, nil, errFiles
}
