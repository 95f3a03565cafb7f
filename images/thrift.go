package images

import (
	"runtime/debug"
	"sync"
)

// thriftyPercent is by how much the heap may grow beyond what lives in it, during a pull. What lives are windows
// and buffers of several MB for each layer, which cost the collector nothing to look at: as much again in garbage is
// not worth the time that it saves.
const thriftyPercent = 30

// thrift counts who wants the collector to be thrifty: its setting is the process's.
var thrift struct {
	mu     sync.Mutex
	users  int
	before int
}

// beThrifty keeps the process small until done is called.
func beThrifty() (done func()) {
	thrift.mu.Lock()
	defer thrift.mu.Unlock()
	if thrift.users++; thrift.users == 1 {
		thrift.before = debug.SetGCPercent(thriftyPercent)
		if thrift.before >= 0 && thrift.before < thriftyPercent { // as somebody asked for by GOGC
			debug.SetGCPercent(thrift.before)
		}
	}
	return sync.OnceFunc(func() {
		thrift.mu.Lock()
		defer thrift.mu.Unlock()
		if thrift.users--; thrift.users == 0 {
			debug.SetGCPercent(thrift.before)
		}
	})
}
