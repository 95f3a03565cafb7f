package containers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
)

// The pause before a container is started again doubles from the first to the
// longest, and begins anew once the container has run for long enough.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Minute
	longEnough   = 10 * time.Second
)

// bootStarts is how many containers are started at a time when the daemon boots.
const bootStarts = 4

// wantsRestart tells whether the policy of a container that has ended with code
// starts it again. stopped says that a user wanted the end.
func wantsRestart(s *Snapshot, code int, stopped bool) bool {
	if stopped || s.State.Removing {
		return false
	}
	switch p := s.HostConfig.RestartPolicy; p.Name {
	case container.RestartPolicyAlways, container.RestartPolicyUnlessStopped:
		return true
	case container.RestartPolicyOnFailure:
		return code != 0 && (p.MaximumRetryCount == 0 || s.RestartCount < p.MaximumRetryCount)
	}
	return false
}

// wantsStartAtBoot tells whether the policy starts a container that does not
// run when the daemon starts. That a user stopped it counts no more for `always`.
func wantsStartAtBoot(s *Snapshot) bool {
	if s.Damaged || s.Runs == 0 || s.State.Running || s.State.Dead {
		return false
	}
	forgiven := s.HostConfig.RestartPolicy.IsAlways()
	return wantsRestart(s, s.State.ExitCode, s.ManualStop && !forgiven)
}

// nextPause is how long to wait before the next start after a run of that length.
func (ct *Container) nextPause(ran time.Duration) time.Duration {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	switch {
	case ct.pause == 0 || ran >= longEnough:
		ct.pause = firstPause
	default:
		ct.pause = min(2*ct.pause, longestPause)
	}
	return ct.pause
}

// forgetPause is for a start by a user: it begins anew.
func (ct *Container) forgetPause() {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.pause = 0
}

// restartLater starts a container that is Restarting when its pause is over,
// unless that is called off first. It returns when either has happened.
func (c *Containers) restartLater(ct *Container, pause time.Duration) {
	ctx, cancel := context.WithTimeout(c.life, pause)
	defer cancel()
	if _, err := ct.await(ctx, func(s *Snapshot) bool { return !s.State.Restarting || s.State.Removing }); err == nil || c.life.Err() != nil {
		return
	}
	if err := c.startByPolicy(ct); err != nil && !errors.As(err, new(refusal)) {
		c.log.Warnf("container %s: its restart policy could not start it: %v", ct.id, err)
	}
}

// donorTries is how often a policy tries to start a container that joins others:
// one of those may be about to end, and to start again, without that being seen yet.
const donorTries = 6

// startByPolicy starts a container once those are there that it joins.
func (c *Containers) startByPolicy(ct *Container) error {
	for try := 1; ; try++ {
		c.awaitDonors(c.life, ct)
		if c.life.Err() != nil {
			return nil
		}
		err := c.startAgain(context.WithoutCancel(c.life), ct)
		if err == nil || try == donorTries || len(joins(ct.Snapshot().HostConfig)) == 0 || errors.As(err, new(refusal)) {
			return err
		}
		failed := ct.Snapshot()
		ctx, cancel := context.WithTimeout(c.life, time.Duration(try)*firstPause)
		_, changed := ct.await(ctx, func(s *Snapshot) bool { return s != failed })
		cancel()
		if changed == nil {
			return err // somebody else has to do with it
		}
	}
}

// startAgain is start by policy.
func (c *Containers) startAgain(ctx context.Context, ct *Container) error {
	unlock, err := ct.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return c.startLocked(ctx, ct, true)
}

// cancelRestart calls off a restart that waits for its time, and tells whether there was one.
func (c *Containers) cancelRestart(ct *Container) bool {
	_, err := ct.tryUpdate(func(s *Snapshot) error {
		if !s.State.Restarting {
			return ErrNotRunning
		}
		s.State.Restarting, s.State.Running = false, false
		return nil
	})
	return err == nil
}

// startAtBoot starts what its policy wants to run, a few at a time, and what
// joins others after those.
func (c *Containers) startAtBoot(all []*Container) {
	for _, list := range c.byJoins(all) {
		c.startFewAtATime(list)
	}
}

func (c *Containers) startFewAtATime(list []*Container) {
	next := make(chan *Container)
	var all sync.WaitGroup
	for range min(bootStarts, len(list)) {
		all.Go(func() {
			for ct := range next {
				if c.life.Err() != nil {
					continue
				}
				if err := c.startByPolicy(ct); err != nil && !errors.As(err, new(refusal)) {
					c.log.Warnf("container %s: its restart policy could not start it: %v", ct.id, err)
				}
			}
		})
	}
	for _, ct := range list {
		next <- ct
	}
	close(next)
	all.Wait()
}
