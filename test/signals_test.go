//go:build system

package test

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestSIGQUITWritesStacksAndTheDaemonGoesOn(t *testing.T) {
	e := start(t)
	assert.NilError(t, e.Signal(syscall.SIGQUIT))
	eventually(t, "stacks in the log", func() bool { return strings.Contains(e.Log(), "goroutine ") })
	e.must("version")
}

// A request that does not end holds up a clean stop until its time is over,
// unless the daemon is told three times.
func TestTheThirdSIGTERMEndsTheDaemonAtOnce(t *testing.T) {
	e := start(t, "--shutdown-timeout", "600")
	body, never := io.Pipe()
	t.Cleanup(func() { never.Close() })
	go func() { _, _, _, _ = e.Do("POST", "/images/load", body) }()
	eventually(t, "the load runs", func() bool { return strings.Contains(e.must("jobs"), "load") })
	for range 3 {
		select {
		case <-e.Done():
			t.Fatal("the daemon did not wait for the running request")
		case <-time.After(200 * time.Millisecond): // signals that come together count once
		}
		assert.NilError(t, e.Signal(syscall.SIGTERM))
	}
	eventually(t, "the daemon is gone", func() bool {
		select {
		case <-e.Done():
			return true
		default:
			return false
		}
	})
	assert.Assert(t, strings.Contains(e.Log(), "forced to end"), e.Log())
	assert.NilError(t, e.Start()) // for what cleans up, and because it must
}
