package netpool

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func newPool(t testing.TB, size int) *Pool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	p := New(size)
	t.Cleanup(p.Close)
	p.Refill()
	n, err := p.Settle()
	assert.NilError(t, err)
	assert.Equal(t, n, size)
	return p
}

func TestThePoolIsDrainedAndFilledAgain(t *testing.T) {
	p := newPool(t, 3)
	seen := map[uint64]bool{}
	for range 3 {
		f := p.Take()
		assert.Assert(t, f != nil)
		var st unix.Stat_t
		assert.NilError(t, unix.Fstat(int(f.Fd()), &st))
		seen[st.Ino] = true
		f.Close()
	}
	assert.Equal(t, len(seen), 3, "each is another one")
	assert.Assert(t, p.Take() == nil)
	for range 5 {
		p.Refill() // also while one runs
	}
	n, err := p.Settle()
	assert.NilError(t, err)
	assert.Equal(t, n, 3)
}

func TestANamespaceHasItsLoopbackUpAndNothingElse(t *testing.T) {
	f := newPool(t, 1).Take()
	defer f.Close()
	inside(t, f, func() {
		all, err := net.Interfaces()
		assert.Check(t, err)
		for _, i := range all {
			up := i.Flags&net.FlagUp != 0
			assert.Check(t, up == (i.Name == "lo"), "%s is up: %v", i.Name, up) // modules may add tunnels that are down
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		assert.Check(t, err)
		if err == nil {
			l.Close()
		}
	})
}

func TestOursStaysOurs(t *testing.T) {
	before := own(t)
	p := newPool(t, 2)
	for range 20 {
		p.Take().Close()
		p.Refill()
		p.Settle()
	}
	first, err := os.Readlink("/proc/self/ns/net")
	assert.NilError(t, err)
	assert.Equal(t, first, before, "of the first thread")
	for range 50 { // whatever threads there are by now
		done := make(chan string)
		go func() { runtime.LockOSThread(); defer runtime.UnlockOSThread(); done <- own(t) }()
		assert.Equal(t, <-done, before)
	}
}

func TestClosingLeavesNothing(t *testing.T) {
	p := newPool(t, 4)
	assert.Equal(t, held(t), 4)
	p.Close()
	assert.Equal(t, held(t), 0)
	p.Refill()
	assert.Assert(t, p.Take() == nil)
	n, _ := p.Settle()
	assert.Equal(t, n, 0)
	p.Close()
}

func TestThePathLeadsThere(t *testing.T) {
	f := newPool(t, 1).Take()
	defer f.Close()
	there, err := os.Stat(Path(f))
	assert.NilError(t, err)
	here, err := f.Stat()
	assert.NilError(t, err)
	assert.Assert(t, os.SameFile(there, here))
}

func BenchmarkMake(b *testing.B) {
	p := New(1)
	defer p.Close()
	for b.Loop() {
		p.Refill()
		_, err := p.Settle()
		assert.NilError(b, err)
		p.Take().Close()
	}
}

// inside runs f on a thread in a namespace.
func inside(t *testing.T, ns *os.File, f func()) {
	t.Helper()
	done := make(chan error, 1)
	var enter func()
	enter = func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() { // Go would keep that thread
			defer runtime.UnlockOSThread()
			over := make(chan struct{})
			go func() { defer close(over); enter() }()
			<-over
			return
		}
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}
	go enter()
	assert.NilError(t, <-done)
}

func own(t *testing.T) string {
	link, err := os.Readlink("/proc/thread-self/ns/net")
	assert.Check(t, err)
	return link
}

// held counts the descriptors of network namespaces that this process has.
func held(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	assert.NilError(t, err)
	for _, e := range entries {
		if link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%s", e.Name())); err == nil && strings.HasPrefix(link, "net:[") {
			n++
		}
	}
	return n
}
