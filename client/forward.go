package client

import (
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// forwardSignals passes every signal that reaches the CLI on to the container,
// until stop is called.
func (c *Cmd) forwardSignals(id string) (stop func()) {
	signals := make(chan os.Signal, 128)
	// To catch a signal costs Go some 30 µs, to catch all of them 2 ms: a tenth
	// of a short container's life. The rare ones can wait.
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	rest := time.AfterFunc(100*time.Millisecond, func() { signal.Notify(signals) })
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				c.forward(id, s)
			case <-done:
				signal.Stop(signals) // as slow, and the program mostly ends meanwhile
				return
			}
		}
	}()
	return func() {
		rest.Stop()
		close(done)
	}
}

func (c *Cmd) forward(id string, s os.Signal) {
	number, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	switch number {
	case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGWINCH:
		return // ours
	case syscall.SIGURG:
		return // Go's runtime uses it to interrupt its threads
	}
	// The container may be gone by now; its exit code says what matters.
	c.API().Post(c.background(), "/containers/"+id+"/kill", url.Values{"signal": {strconv.Itoa(int(number))}}, nil, nil)
}
