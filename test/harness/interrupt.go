package harness

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

var alive struct {
	sync.Mutex
	daemons map[*Daemon]bool
	over    bool // the program was interrupted: nothing is started any more
}

// isAlive notes that a daemon is about to start or has gone; it refuses a start
// after an interrupt.
func (d *Daemon) isAlive(yes bool) error {
	alive.Lock()
	defer alive.Unlock()
	if yes && alive.over {
		return errors.New("interrupted")
	}
	if alive.daemons == nil {
		alive.daemons = map[*Daemon]bool{}
	}
	if yes {
		alive.daemons[d] = true
	} else {
		delete(alive.daemons, d)
	}
	return nil
}

// DestroyOnInterrupt sees to it that an interrupted program leaves no daemon
// behind: at SIGINT, SIGTERM or SIGHUP all that were started are destroyed,
// then runs, and the program ends with the signal's code.
func DestroyOnInterrupt(then func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		sig := <-c
		alive.Lock()
		alive.over = true
		var all []*Daemon
		for d := range alive.daemons {
			all = append(all, d)
		}
		alive.Unlock()
		for _, d := range all {
			d.Destroy()
		}
		if then != nil {
			then()
		}
		os.Exit(128 + int(sig.(syscall.Signal)))
	}()
}
