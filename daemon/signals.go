package daemon

import (
	"context"
	"os"
	"os/signal"
	"runtime/pprof"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"
)

// trap gives a context that ends with the first SIGINT or SIGTERM. The third
// one ends the process at once. SIGQUIT and SIGUSR1 write the stacks of all
// goroutines to stderr. SIGHUP calls reload.
func trap(log *logrus.Logger, reload func()) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		asked := 0
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				switch sig {
				case syscall.SIGINT, syscall.SIGTERM:
					asked++
					if asked >= 3 {
						log.Warn("forced to end: running requests are cut off")
						os.Exit(128 + int(sig.(syscall.Signal)))
					}
					log.Infof("%v: shutting down", sig)
					cancel()
				case syscall.SIGHUP:
					go reload() // one waits for the other, but no signal for them
				default:
					_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
				}
			}
		}
	}()
	var once sync.Once
	return ctx, func() {
		once.Do(func() {
			signal.Stop(signals)
			close(done)
			cancel()
		})
	}
}
