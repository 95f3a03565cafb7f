package client

import (
	"errors"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/moby/term"
)

// terminal returns the descriptor of a stream that is one.
func terminal(stream any) (fd uintptr, ok bool) {
	if f, isFile := stream.(*os.File); isFile {
		return f.Fd(), term.IsTerminal(f.Fd())
	}
	return 0, false
}

// windowSize is 0, 0 when the stream is no terminal.
func windowSize(stream any) (height, width uint) {
	fd, ok := terminal(stream)
	if !ok {
		return 0, 0
	}
	ws, err := term.GetWinsize(fd)
	if err != nil {
		return 0, 0
	}
	return uint(ws.Height), uint(ws.Width)
}

func terminalWidth(stream any) int {
	_, width := windowSize(stream)
	return int(width)
}

// needTerminal refuses to give a container's terminal an input that is none.
func (c *Cmd) needTerminal(stdin, tty bool) error {
	if _, ok := terminal(c.In); stdin && tty && !ok {
		return errors.New("the input device is not a TTY")
	}
	return nil
}

// raw keeps how to give terminals back, for an end that skips the usual way.
var raw struct {
	sync.Mutex
	restore []func()
}

func restoreTerminals() {
	raw.Lock()
	defer raw.Unlock()
	for _, f := range raw.restore {
		f()
	}
	raw.restore = nil
}

// makeRaw puts the CLI's terminals in raw mode and returns how to end that;
// ending it twice is fine.
func (c *Cmd) makeRaw() (restore func(), err error) {
	if os.Getenv("NORAW") != "" {
		return func() {}, nil
	}
	var undo []func()
	set := func(stream any, f func(uintptr) (*term.State, error)) {
		if fd, ok := terminal(stream); ok && err == nil {
			var state *term.State
			if state, err = f(fd); err == nil && state != nil {
				undo = append(undo, func() { term.RestoreTerminal(fd, state) })
			}
		}
	}
	set(c.In, term.SetRawTerminal)
	set(c.Out, term.SetRawTerminalOutput)
	restore = sync.OnceFunc(func() {
		for _, f := range undo {
			f()
		}
	})
	if err != nil {
		restore()
		return nil, err
	}
	raw.Lock()
	raw.restore = append(raw.restore, restore)
	raw.Unlock()
	return restore, nil
}

// followSize gives the container's (or exec's) terminal the size of ours, now
// and whenever it changes, until stop is called. path is the object's route.
func (c *Cmd) followSize(path string) (stop func()) {
	resize := func() error {
		h, w := windowSize(c.Out)
		if h == 0 && w == 0 {
			return nil
		}
		return c.resize(path, h, w)
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		// The process may not have its terminal yet: try again for a while.
		for i := 1; resize() != nil && i <= 10; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(i) * 10 * time.Millisecond):
			}
		}
		for {
			select {
			case <-done:
				return
			case <-changed:
				resize()
			}
		}
	}()
	return sync.OnceFunc(func() {
		signal.Stop(changed)
		close(done)
	})
}

func (c *Cmd) resize(path string, height, width uint) error {
	return c.API().Post(c.background(), path+"/resize", url.Values{
		"h": {strconv.Itoa(int(height))},
		"w": {strconv.Itoa(int(width))},
	}, nil, nil)
}
