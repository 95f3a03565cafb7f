package server

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/poll"
)

func TestWhoWantsToKnowHearsOfAClientBeforeItsRequest(t *testing.T) {
	d := start(t, Options{}, nil)
	var told atomic.Int32
	d.srv.OnConnect(func() { told.Add(1) })
	conn, err := net.Dial("unix", d.sock)
	assert.NilError(t, err)
	defer conn.Close()
	poll.WaitOn(t, func(poll.LogT) poll.Result {
		if told.Load() == 1 {
			return poll.Success()
		}
		return poll.Continue("told %d times", told.Load())
	}, poll.WithTimeout(patience), poll.WithDelay(time.Millisecond))
}
