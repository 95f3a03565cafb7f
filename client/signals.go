package client

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// interruptible returns a context that the first INT or TERM cancels. Some
// calls do not listen to it (a container that runs in the foreground gets the
// signals instead), so the third one ends the program whatever it does.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for n := 1; ; n++ {
			if _, ok := <-signals; !ok {
				return
			}
			cancel()
			if n == 3 {
				restoreTerminals()
				fmt.Fprint(os.Stderr, "\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n")
				os.Exit(1)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
