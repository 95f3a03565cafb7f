package client

import (
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// forwardSignals passes every signal that reaches the CLI on to the container,
// until stop is called.
func (c *Cmd) forwardSignals(id string) (stop func()) {
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	go func() {
		for s := range signals {
			n, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			switch n {
			case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGWINCH:
				continue // ours
			case syscall.SIGURG:
				continue // Go's runtime uses it to interrupt its threads
			}
			// The container may be gone by now; its exit code says what matters.
			c.API().Post(c.background(), "/containers/"+id+"/kill", url.Values{"signal": {strconv.Itoa(int(n))}}, nil, nil)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
