package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/moby/term"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/poll"
)

// screen is a terminal with the CLI on its inner side.
type screen struct {
	user, program *os.File
	mu            sync.Mutex
	shown         bytes.Buffer
}

func newScreen(t *testing.T, rows, cols uint16) *screen {
	t.Helper()
	user, program, err := pty.Open()
	assert.NilError(t, err)
	assert.NilError(t, pty.Setsize(user, &pty.Winsize{Rows: rows, Cols: cols}))
	s := &screen{user: user, program: program}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := user.Read(buf)
			s.mu.Lock()
			s.shown.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { program.Close(); user.Close() })
	return s
}

func (s *screen) shows(text string) poll.Check {
	return func(poll.LogT) poll.Result {
		s.mu.Lock()
		defer s.mu.Unlock()
		if strings.Contains(s.shown.String(), text) {
			return poll.Success()
		}
		return poll.Continue("no %q in %q", text, s.shown.String())
	}
}

// terminalContainer plays a container with a terminal: it prints a prompt once
// its size is set, then echoes lines until "exit".
func (s *standIn) terminalContainer(id string) {
	s.container(id, 0)
	sized := make(chan string, 8)
	ended := make(chan struct{})
	s.on("POST /containers/"+id+"/resize", func(_ http.ResponseWriter, r *http.Request) {
		sized <- r.URL.Query().Encode()
	})
	s.on("POST /containers/"+id+"/attach", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		assert.Check(s.t, err)
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		<-s.started
		fmt.Fprintf(conn, "size %s> ", <-sized)
		for {
			line, err := rw.ReadString('\r')
			if err != nil || strings.HasPrefix(line, "exit") {
				close(ended)
				return
			}
			fmt.Fprintf(conn, "[%q]", line)
		}
	})
	s.on("POST /containers/"+id+"/wait", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		select {
		case <-ended:
		case <-r.Context().Done():
		}
		io.WriteString(w, `{"StatusCode":4}`)
	})
}

func (s *standIn) onScreen(scr *screen, line ...string) <-chan int {
	done := make(chan int, 1)
	s.t.Setenv("HOME", s.t.TempDir())
	c := New(WithStreams(scr.program, scr.program, scr.program))
	go func() { done <- c.Run(context.Background(), append([]string{"-H", s.host}, line...)) }()
	return done
}

func finished(t *testing.T, done <-chan int) int {
	t.Helper()
	select {
	case code := <-done:
		return code
	case <-time.After(20 * time.Second):
		t.Fatal("the command does not end")
	}
	return -1
}

func TestTerminalIsRawMeanwhileAndItselfAfterwards(t *testing.T) {
	s := newStandIn(t)
	s.terminalContainer("c1")
	scr := newScreen(t, 33, 99)
	before, err := term.SaveState(scr.program.Fd())
	assert.NilError(t, err)

	done := s.onScreen(scr, "run", "-it", "busybox")
	poll.WaitOn(t, scr.shows("size h=33&w=99> "))
	io.WriteString(scr.user, "a\x03b\r") // ctrl-c is the container's in raw mode
	poll.WaitOn(t, scr.shows(`["a\x03b\r"]`))
	io.WriteString(scr.user, "exit\r")
	assert.Equal(t, finished(t, done), 4)

	after, err := term.SaveState(scr.program.Fd())
	assert.NilError(t, err)
	assert.DeepEqual(t, fmt.Sprint(after), fmt.Sprint(before))
}

func TestDetachKeys(t *testing.T) {
	for _, c := range []struct {
		name, keys string
		types      []string
	}{
		{"the usual ones", "", []string{"\x10\x11"}},
		{"in two reads", "", []string{"\x10", "\x11"}},
		{"after a false start", "", []string{"\x10x\x10\x11"}},
		{"the user's own", "ctrl-a,z", []string{"\x10\x11\x01z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t)
			s.terminalContainer("c1")
			scr := newScreen(t, 24, 80)
			done := s.onScreen(scr, "run", "-it", "--detach-keys", c.keys, "busybox")
			poll.WaitOn(t, scr.shows("> "))
			for _, text := range c.types {
				io.WriteString(scr.user, text)
				time.Sleep(20 * time.Millisecond) // so that it is a read of its own
			}
			assert.Equal(t, finished(t, done), 0)
		})
	}
}

func TestTerminalFollowsTheWindow(t *testing.T) {
	s := newStandIn(t)
	s.terminalContainer("c1")
	scr := newScreen(t, 24, 80)
	done := s.onScreen(scr, "run", "-it", "busybox")
	poll.WaitOn(t, scr.shows("> "))
	assert.NilError(t, pty.Setsize(scr.user, &pty.Winsize{Rows: 50, Cols: 120}))
	// The kernel signals the terminal's own processes; here that is nobody.
	self, err := os.FindProcess(os.Getpid())
	assert.NilError(t, err)
	assert.NilError(t, self.Signal(syscall.SIGWINCH))
	poll.WaitOn(t, func(poll.LogT) poll.Result {
		if strings.Contains(strings.Join(s.log(), "\n"), "POST /containers/c1/resize?h=50&w=120") {
			return poll.Success()
		}
		return poll.Continue("no resize yet")
	})
	io.WriteString(scr.user, "exit\r")
	assert.Equal(t, finished(t, done), 4)
}
