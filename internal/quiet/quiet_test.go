package quiet

import (
	"sync/atomic"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/poll"
)

func TestOnceAfterEachBurst(t *testing.T) {
	var done atomic.Int32
	a := New(20*time.Millisecond, func() { done.Add(1) })
	for burst := int32(1); burst <= 3; burst++ {
		for range 100 {
			a.Touch()
		}
		poll.WaitOn(t, func(poll.LogT) poll.Result {
			if done.Load() >= burst {
				return poll.Success()
			}
			return poll.Continue("%d times", done.Load())
		}, poll.WithTimeout(20*time.Second), poll.WithDelay(5*time.Millisecond))
		time.Sleep(60 * time.Millisecond)
		assert.Equal(t, done.Load(), burst, "again without work")
	}
}

func TestNothingWithoutWork(t *testing.T) {
	New(time.Millisecond, func() { t.Error("called") })
	time.Sleep(20 * time.Millisecond)
}
