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
// signals instead), so the third one ends the program whatever it does. It is
// for the rest of the program's life.
func interruptible(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for n := 1; ; n++ {
			s := <-signals
			if number, ok := s.(syscall.Signal); ok {
				cancel(interrupted{number})
			}
			if n == 3 {
				restoreTerminals()
				fmt.Fprint(os.Stderr, "\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n")
				os.Exit(1)
			}
		}
	}()
	return ctx
}

// interrupted is why a context ended: the user's signal.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string        { return i.signal.String() }
func (i interrupted) Is(target error) bool { return target == context.Canceled }
