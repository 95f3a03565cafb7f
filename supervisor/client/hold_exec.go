package client

import (
	"context"
	"os"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// ExecStreams are the daemon's ends of an exec's streams; nil where there is none.
type ExecStreams struct{ TTY, Stdout, Stderr *os.File }

func (s *ExecStreams) named() map[string]**os.File {
	return map[string]**os.File{"tty": &s.TTY, "stdout": &s.Stdout, "stderr": &s.Stderr}
}

// HoldExec leaves duplicates of the daemon's ends with the supervisor, so that
// the exec survives this daemon. It does not wait: an exec that has ended
// needs it no more.
func (c *Client) HoldExec(container, execID string, s ExecStreams) {
	q := protocol.Hold{Container: container, ExecID: execID}
	var files []*os.File
	for name, f := range s.named() {
		if f := duplicate(*f); f != nil {
			q.Names, files = append(q.Names, name), append(files, f)
		}
	}
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if len(files) == 0 || l == nil || l.hello.Version < 2 {
		protocol.CloseAll(files)
		return
	}
	go func() {
		_ = l.do(context.Background(), protocol.OpHold, q, files...)
		protocol.CloseAll(files)
	}()
}

// TakeExec gives the process of an exec that an earlier daemon has started, and
// what that one left with the supervisor.
func (c *Client) TakeExec(ctx context.Context, container, execID string) (Started, ExecStreams, error) {
	var taken protocol.TakenExec
	var s ExecStreams
	if c.Hello().Version < 2 {
		return Started{}, s, execdriver.ErrUnsupported
	}
	files, err := c.call(ctx, protocol.OpTakeExec, protocol.TakeExec{Container: container, ExecID: execID}, &taken)
	if err != nil {
		return Started{}, s, err
	}
	if len(files) != 1+len(taken.Names) {
		protocol.CloseAll(files)
		return Started{}, s, errFiles
	}
	to := s.named()
	for i, name := range taken.Names {
		if f := to[name]; f != nil && *f == nil {
			*f = files[1+i]
		} else {
			files[1+i].Close()
		}
	}
	return Started{Pid: taken.Pid, StartTime: taken.StartTime, PidFD: files[0]}, s, nil
}
