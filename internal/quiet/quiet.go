// Package quiet does something once work has come to rest: a burst of requests
// leaves memory and descriptors that only a garbage collection frees, and a
// program that then idles would never have one. No polling: a burst sets one
// timer off.
package quiet

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// After calls f each time when no Touch has come for as long as rest after one.
type After struct {
	rest  time.Duration
	last  atomic.Int64 // of the last Touch, in nanoseconds since born
	armed atomic.Bool
	born  time.Time
	f     func()
}

// New makes an After. It does nothing until the first Touch.
func New(rest time.Duration, f func()) *After { return &After{rest: rest, f: f, born: time.Now()} }

// Memory gives what is not used any more back to the kernel after each burst of work.
func Memory(rest time.Duration) *After {
	return New(rest, func() {
		runtime.GC() // what lies in pools goes with the second collection
		debug.FreeOSMemory()
	})
}

// Touch says that there is work. It may be called often and by many.
func (a *After) Touch() {
	a.last.Store(int64(time.Since(a.born)))
	if !a.armed.Swap(true) {
		time.AfterFunc(a.rest, a.look)
	}
}

func (a *After) look() {
	was := a.last.Load()
	if left := a.rest - (time.Since(a.born) - time.Duration(was)); left > 0 {
		time.AfterFunc(left, a.look)
		return
	}
	a.armed.Store(false)
	if a.last.Load() != was && !a.armed.Swap(true) { // a Touch has just relied on us
		time.AfterFunc(a.rest, a.look)
	}
	a.f()
}
