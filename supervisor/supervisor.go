package supervisor

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/quiet"
	"github.com/jobengine/engine/supervisor/protocol"
)

// supervisor is the whole process's state.
type supervisor struct {
	root    string
	drivers *drivers
	epoch   uint64
	build   string // the program's name, as the daemon calls it
	level   string // of the log
	lock    *os.File
	socket  *net.UnixListener
	gate    *gate
	signals *signals

	upgrading sync.Mutex

	exits exits
	ooms  ooms
	// starts bounds how many containers and execs are being started at a time:
	// each costs a dozen short processes and a copy of the spec.
	starts chan struct{}
	// records bounds how many write down at a time how a process ended: each that waits for
	// the disk holds a thread, and Go never gives one back.
	records chan struct{}
	warmer  *warmer
	quiet   *quiet.After // frees what starts leave to the garbage collector

	answering atomic.Int32 // requests that have no answer yet

	mu         sync.Mutex
	containers map[string]*container
	ending     bool // shut down was asked for
	idle       chan struct{}
}

func newSupervisor(root string, kinds Drivers) (*supervisor, error) {
	open, err := openDrivers(root, kinds)
	if err != nil {
		return nil, err
	}
	s := &supervisor{
		root:       root,
		drivers:    open,
		epoch:      uint64(time.Now().UnixNano()),
		starts:     make(chan struct{}, 8),
		records:    make(chan struct{}, 16),
		warmer:     newWarmer(),
		quiet:      quiet.Memory(2 * time.Second),
		containers: map[string]*container{},
		idle:       make(chan struct{}, 1),
		gate:       newGate(),
	}
	s.exits.init(s.epoch)
	s.ooms.init()
	return s, nil
}

// recording does what touches the disk for the end of a process, when it is its turn.
func (s *supervisor) recording(f func()) {
	s.records <- struct{}{}
	defer func() { <-s.records }()
	f()
}

func (s *supervisor) dir(id string) string { return protocol.ContainerDir(s.root, id) }

// find gives the container that a request names.
func (s *supervisor) find(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[id]
	if c == nil {
		return nil, execdriver.ErrNotFound
	}
	return c, nil
}

// able finds a container and what its driver can do beyond the contract's core: A is one of the
// optional interfaces of package execdriver.
func able[A any](s *supervisor, id string) (*container, A, error) {
	c, err := s.find(id)
	if err != nil {
		return nil, *new(A), err
	}
	a, ok := c.driver.(A)
	if !ok {
		return nil, a, execdriver.ErrUnsupported
	}
	return c, a, nil
}

// forget takes a container out of the table, and ends the process if it was the last thing to do.
func (s *supervisor) forget(id string) {
	s.mu.Lock()
	delete(s.containers, id)
	s.mu.Unlock()
	s.endIfIdle()
}

func (s *supervisor) shutdown() {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.endIfIdle()
}

func (s *supervisor) endIfIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending && len(s.containers) == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}
