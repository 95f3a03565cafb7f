package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// Terminal is a command that runs under a pty, driven like a person would:
// wait for a text, type, wait.
type Terminal struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	tty    interface {
		Write([]byte) (int, error)
		Close() error
	}
	resize func(rows, cols uint16) error

	mu     sync.Mutex
	seen   bytes.Buffer
	from   int // Expect looks from here on
	change chan struct{}
	ended  bool
}

// Terminal starts the command under a new pty of 24 rows and 80 columns.
func (c Command) Terminal() (*Terminal, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	cmd := c.prepare(ctx)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		cancel()
		return nil, err
	}
	t := &Terminal{cmd: cmd, cancel: cancel, tty: master, change: make(chan struct{})}
	t.resize = func(rows, cols uint16) error {
		return pty.Setsize(master, &pty.Winsize{Rows: rows, Cols: cols})
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			t.mu.Lock()
			t.seen.Write(buf[:n])
			t.ended = err != nil
			close(t.change)
			t.change = make(chan struct{})
			t.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return t, nil
}

// Expect waits until text appears after what the last Expect found.
func (t *Terminal) Expect(text string) error {
	deadline := time.After(20 * time.Second)
	for {
		t.mu.Lock()
		rest := t.seen.String()[t.from:]
		if i := strings.Index(rest, text); i >= 0 {
			t.from += i + len(text)
			t.mu.Unlock()
			return nil
		}
		change, ended := t.change, t.ended
		t.mu.Unlock()
		if ended {
			return fmt.Errorf("the terminal ended without %q; it shows %q", text, t.Screen())
		}
		select {
		case <-change:
		case <-deadline:
			return fmt.Errorf("no %q on the terminal in 20 s; it shows %q", text, t.Screen())
		}
	}
}

// Type writes keys to the terminal.
func (t *Terminal) Type(keys string) error {
	_, err := t.tty.Write([]byte(keys))
	return err
}

// Resize changes the window; the command gets SIGWINCH.
func (t *Terminal) Resize(rows, cols uint16) error { return t.resize(rows, cols) }

// Screen is everything written to the terminal so far, echo included.
func (t *Terminal) Screen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// Wait waits for the command's end and answers its exit code.
func (t *Terminal) Wait() (int, error) {
	defer t.cancel()
	defer t.tty.Close()
	err := t.cmd.Wait()
	// Read to the end: the last output may still be in the pty.
	for i := 0; i < 100; i++ {
		t.mu.Lock()
		change, ended := t.change, t.ended
		t.mu.Unlock()
		if ended {
			break
		}
		select {
		case <-change:
		case <-time.After(10 * time.Millisecond):
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return code(exit.ProcessState), nil
	}
	return t.cmd.ProcessState.ExitCode(), err
}
