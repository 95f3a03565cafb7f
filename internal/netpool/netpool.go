// Package netpool keeps a few network namespaces ready. Making one takes the
// kernel about a millisecond, which is better spent when nobody waits.
//
// A namespace of the pool has its loopback up and nothing else in it. It is held
// by a descriptor alone, closed when the process executes another program: it ends with the process, and
// nothing has to be cleaned up after a kill. Who takes one gives it to a
// container by the path /proc/PID/fd/N, by setns, or moves an interface into it
// first, as a bridge does.
package netpool

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Pool holds namespaces that nobody is in. The zero value holds none, and never will.
type Pool struct {
	size int

	mu     sync.Mutex
	ready  []*os.File
	filler chan struct{} // closed when the fill that runs is over; nil if none runs
	closed bool
	err    error // of the last fill
}

// New makes a pool for size namespaces. It is empty until Refill.
func New(size int) *Pool { return &Pool{size: size} }

// Take gives a namespace, which the caller closes; nil if none is ready. It waits for nothing.
func (p *Pool) Take() *os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return nil
	}
	f := p.ready[0]
	p.ready = p.ready[1:]
	return f
}

// Refill makes what is missing, in the background.
func (p *Pool) Refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filler != nil || p.closed || len(p.ready) >= p.size {
		return
	}
	p.filler = make(chan struct{})
	go p.fill(p.filler)
}

// fill has a thread of its own, which is in the wrong namespace from the first
// step on and ends with this function: it is never unlocked.
func (p *Pool) fill(done chan struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// Go does not end the first thread, and /proc/PID/ns is that thread's:
		// the next goroutine gets another one, as this one is taken.
		defer runtime.UnlockOSThread()
		go p.fill(done)
		<-done
		return
	}
	defer close(done)
	for {
		p.mu.Lock()
		if p.closed || len(p.ready) >= p.size {
			p.filler = nil
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		f, err := makeNamespace()
		p.mu.Lock()
		p.err = err
		if err == nil {
			p.ready = append(p.ready, f)
		} else {
			p.filler = nil // the next Refill tries again
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Settle waits for a Refill that runs, and tells how many namespaces are ready
// and why there are not more.
func (p *Pool) Settle() (int, error) {
	p.mu.Lock()
	filler := p.filler
	p.mu.Unlock()
	if filler != nil {
		<-filler
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready), p.err
}

// Close lets go of all namespaces. Nothing is made afterwards.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.ready {
		f.Close()
	}
	p.ready = nil
}

// Path leads any process of this user to a namespace, while f is open.
func Path(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// makeNamespace puts the calling thread into a new namespace and gives a descriptor of it.
func makeNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	if err := loopbackUp(); err != nil {
		return nil, fmt.Errorf("loopback: %w", err)
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	return os.NewFile(uintptr(fd), "netns"), nil
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		s, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, lo); err != nil {
		return os.NewSyscallError("SIOCGIFFLAGS", err)
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("SIOCSIFFLAGS", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo))
}
