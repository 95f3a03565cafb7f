package containers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

func policy(name container.RestartPolicyMode, max int) func(*jobs.CreateIn) {
	return func(in *jobs.CreateIn) {
		in.HostConfig.RestartPolicy = container.RestartPolicy{Name: name, MaximumRetryCount: max}
	}
}

// awaits fails the test if the container does not come to be so.
func (w *world) awaits(t *testing.T, name string, what string, so func(*Snapshot) bool) *Snapshot {
	t.Helper()
	ct, err := w.find(name)
	assert.NilError(t, err)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s, err := ct.await(ctx, so)
	assert.NilError(t, err, what)
	return s
}

func runs(n int) func(*Snapshot) bool {
	return func(s *Snapshot) bool { return s.Runs == n && s.State.Running && !s.State.Restarting }
}

func TestOnFailureStartsAgainUntilItHasTriedEnough(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx", policy(container.RestartPolicyOnFailure, 2))
	w.mustStart(t, "xx")
	for n := 1; n <= 2; n++ {
		w.runtime.exit(id, 1)
		s := w.awaits(t, "xx", "it starts again", runs(n+1))
		assert.Equal(t, s.RestartCount, n)
	}
	w.runtime.exit(id, 1)
	s := w.awaits(t, "xx", "it gives up", func(s *Snapshot) bool { return !s.State.Running })
	assert.Equal(t, s.State.Status(), container.StateExited)
	assert.Equal(t, s.State.ExitCode, 1)
	w.mustStart(t, "xx")
	assert.Equal(t, w.snapshot(t, "xx").RestartCount, 0)
	w.runtime.exit(id, 0)
	s = w.awaits(t, "xx", "success ends it", func(s *Snapshot) bool { return !s.State.Running })
	assert.Equal(t, s.State.ExitCode, 0)
}

func TestAStopEndsWhatAPolicyWouldStartAgain(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx", policy(container.RestartPolicyAlways, 0))
	w.mustStart(t, "xx")
	_, err := jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: "xx"})
	assert.NilError(t, err)
	assert.Equal(t, w.snapshot(t, "xx").State.Status(), container.StateExited)

	// While it waits for its time it is shown as restarting, and can be stopped and removed.
	w.mustStart(t, "xx")
	ct, _ := w.find("xx")
	ct.mu.Lock()
	ct.pause = longestPause
	ct.mu.Unlock()
	w.runtime.exit(id, 1)
	s := w.awaits(t, "xx", "it waits", func(s *Snapshot) bool { return s.State.Restarting })
	assert.Equal(t, s.State.Status(), container.StateRestarting)
	assert.Assert(t, s.State.Running)
	_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
	assert.Assert(t, errdefs.IsConflict(err))
	_, err = jobs.Pause.Run(ctx, w.eng, jobs.PauseIn{Container: "xx"})
	assert.Assert(t, errdefs.IsConflict(err))
	_, err = jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: "xx"})
	assert.NilError(t, err)
	s = w.snapshot(t, "xx")
	assert.Equal(t, s.State.Status(), container.StateExited)
	assert.Equal(t, s.State.ExitCode, 1)

	w.mustStart(t, "xx")
	ct.mu.Lock()
	ct.pause = longestPause
	ct.mu.Unlock()
	w.runtime.exit(id, 1)
	w.awaits(t, "xx", "it waits", func(s *Snapshot) bool { return s.State.Restarting })
	_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx", Force: true})
	assert.NilError(t, err)
}

func TestARestartThatFailsIsTheEnd(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx", policy(container.RestartPolicyAlways, 0))
	w.mustStart(t, "xx")
	w.runtime.failWith("Create", errors.New("no"))
	w.runtime.exit(id, 1)
	s := w.awaits(t, "xx", "it gives up", func(s *Snapshot) bool { return !s.State.Running })
	assert.Equal(t, s.State.ExitCode, 128)
	assert.Equal(t, w.graph.inUse(), 0)
}

func TestPoliciesAreFollowedWhenTheDaemonStarts(t *testing.T) {
	w := newWorld(t)
	for _, p := range []container.RestartPolicyMode{"no", "always", "unless-stopped", "on-failure"} {
		for _, how := range []string{"stopped", "killed", "fresh"} {
			w.mustCreate(t, string(p)+"-"+how, policy(p, 0))
		}
		for _, how := range []string{"stopped", "killed"} {
			w.mustStart(t, string(p)+"-"+how)
		}
		_, err := jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: string(p) + "-stopped"})
		assert.NilError(t, err)
	}
	w.runtime.disconnect()
	w.Close()
	w.runtime.powerCut()
	w.reopen(t)
	w.exited.Wait()
	for name, up := range map[string]bool{
		"no-stopped": false, "no-killed": false, "no-fresh": false,
		"always-stopped": true, "always-killed": true, "always-fresh": false,
		"unless-stopped-stopped": false, "unless-stopped-killed": true, "unless-stopped-fresh": false,
		"on-failure-stopped": false, "on-failure-killed": true, "on-failure-fresh": false,
	} {
		assert.Check(t, w.snapshot(t, name).State.Running == up, "%s: running is %v", name, !up)
	}
}

func TestThePauseDoublesAndBeginsAnewAfterALongRun(t *testing.T) {
	ct := newContainer(&Snapshot{})
	for _, want := range []time.Duration{100, 200, 400, 800} {
		assert.Equal(t, ct.nextPause(time.Second), want*time.Millisecond)
	}
	assert.Equal(t, ct.nextPause(11*time.Second), firstPause)
	for range 20 {
		ct.nextPause(0)
	}
	assert.Equal(t, ct.nextPause(0), longestPause)
	ct.forgetPause()
	assert.Equal(t, ct.nextPause(0), firstPause)
}
