package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxDeaths is how many supervisors may die over one request. A request that kills each
// supervisor it comes to would otherwise be repeated for ever, and disturb all others.
const maxDeaths = 10

var (
	// firstPause is before the third attempt; each further pause is twice as long. The
	// second attempt comes at once: mostly it was not the request's fault.
	firstPause = 50 * time.Millisecond
	// longestPause makes them some 16 s together, so that somebody else who kills
	// supervisors has ended, or has been noticed.
	longestPause = 5 * time.Second
)

var errDeadly = errors.New("the request is given up")

// afterDeath lets some time pass before a request that has lost its supervisor is
// repeated, or says that it is not to be.
func (c *Client) afterDeath(ctx context.Context, op string, deaths int) error {
	if deaths >= maxDeaths {
		err := fmt.Errorf("supervisor: %q: %w: %d supervisors have died over it (see %s)", op, errDeadly, deaths, logPath(c.o.ExecRoot))
		c.o.Log("%v", err)
		return err
	}
	if deaths < 2 {
		return nil
	}
	pause := time.NewTimer(min(firstPause<<(deaths-2), longestPause))
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-c.ending.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("supervisor: %w: %w", ctx.Err(), errLost)
	}
}
