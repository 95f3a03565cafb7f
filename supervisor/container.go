package supervisor

import (
	"os"
	"sync"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// container is what is kept in memory of one container: little, as there may be hundreds.
type container struct {
	id     string
	dir    string
	driver execdriver.Driver
	// op lets one of create, start, pause, resume and delete work at a time.
	op     sync.Mutex
	output *output
	// ended is closed when the first process's exit is recorded and its output complete.
	ended chan struct{}

	// late is closed when a daemon has given the pidfd of a container that was
	// gone already when it was adopted; nil for others.
	late chan struct{}
	// lateTTY is closed when a daemon has given the terminal of an adopted
	// container; nil for others.
	lateTTY chan struct{}

	mu    sync.Mutex // guards what follows; never held across a driver or disk call
	state state
	pidfd *os.File
	tty   *os.File // pty master
	stdin *os.File // write end
	oom   *os.File // tells that memory may have run out
	// ending: its output is being completed, and no terminal is taken any more.
	ending bool
	exit   *protocol.Exit
	// released: this supervisor has called the driver's Start.
	released bool
	execs    map[string]*execution
}

// execution is a further process.
type execution struct {
	op       string
	process  protocol.Process
	pidfd    *os.File
	starting bool
	held     []held // of the daemon, for the next one
}

// held is a descriptor in safe keeping.
type held struct {
	name string
	file *os.File
}

func (c *container) isEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// closeFiles lets go of every descriptor that is held for the container.
func (c *container) closeFiles() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range []**os.File{&c.pidfd, &c.tty, &c.stdin, &c.oom} {
		if *f != nil {
			(*f).Close()
			*f = nil
		}
	}
}
