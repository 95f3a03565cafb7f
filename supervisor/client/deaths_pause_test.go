package client

import (
	"testing"
	"time"
)

// HurryAfterDeaths makes the pauses between attempts short for a test.
func HurryAfterDeaths(t testing.TB) {
	first, longest := firstPause, longestPause
	firstPause, longestPause = time.Millisecond, 10*time.Millisecond
	t.Cleanup(func() { firstPause, longestPause = first, longest })
}
