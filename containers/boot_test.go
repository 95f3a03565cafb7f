package containers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

func TestALivingContainerIsTakenOver(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	w.mustStart(t, "xx")
	pid := w.snapshot(t, "xx").State.Pid
	w.reopen(t)
	s := w.snapshot(t, "xx")
	assert.Assert(t, s.State.Running)
	assert.Equal(t, s.State.Pid, pid)
	assert.Equal(t, w.graph.inUse(), 1)
	w.runtime.exit(id, 4)
	out, err := w.wait("xx", "")
	assert.NilError(t, err)
	assert.Equal(t, out.StatusCode, int64(4))
	assert.Equal(t, w.graph.inUse(), 0)
}

func TestAnExitWhileTheDaemonWasAwayIsKnown(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	gone := w.mustCreate(t, "yy", autoRemove)
	w.mustStart(t, "xx")
	w.mustStart(t, "yy")
	w.runtime.disconnect()
	w.Close()
	w.runtime.exit(id, 9)
	w.runtime.exit(gone, 9)
	w.reopen(t)
	s := w.snapshot(t, "xx")
	assert.Equal(t, s.State.Status(), container.StateExited)
	assert.Equal(t, s.State.ExitCode, 9)
	_, err := w.find("yy")
	assert.Assert(t, errdefs.IsNotFound(err))
	assert.Equal(t, len(w.graph.layers(t)), 1)
}

func TestAfterARebootTheExitFileTellsTheCodeOrNobodyKnows(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "filed")
	w.mustCreate(t, "unknown")
	w.mustStart(t, "filed")
	w.mustStart(t, "unknown")
	w.runtime.disconnect()
	w.Close()
	w.runtime.exit(id, 5)
	w.runtime.powerCut()
	w.reopen(t)
	assert.Equal(t, w.snapshot(t, "filed").State.ExitCode, 5)
	s := w.snapshot(t, "unknown")
	assert.Equal(t, s.State.Status(), container.StateExited)
	assert.Equal(t, s.State.ExitCode, 255)
	assert.Assert(t, s.State.Error != "")
}

func TestARemovalThatWasCutOffIsFinishedAtBoot(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	ct, err := w.find("xx")
	assert.NilError(t, err)
	assert.NilError(t, w.beginRemoval(ct, removal{}))
	assert.NilError(t, w.save(ct))
	w.reopen(t)
	_, err = w.find("xx")
	assert.Assert(t, errdefs.IsNotFound(err))
	assert.Equal(t, len(w.graph.layers(t)), 0)
}

func TestWhatWasNeverAcknowledgedIsRemovedAtBoot(t *testing.T) {
	w := newWorld(t)
	half := newID()
	assert.NilError(t, os.MkdirAll(w.path(half), 0o710))
	assert.NilError(t, w.graph.CreateReadWrite(ctx, half, "init", nil))
	w.reopen(t)
	assert.Equal(t, len(w.graph.layers(t)), 0)
	_, err := os.Stat(w.path(half))
	assert.Assert(t, os.IsNotExist(err))
}

func TestADamagedRecordIsShownAndRemovableAndHarmsNobody(t *testing.T) {
	for what, damage := range map[string][]byte{"empty": {}, "garbage": []byte("\x00\x01{"), "truncated": []byte(`{"Format":1,"ID":"`), "newer": []byte(`{"Format":99}`)} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.mustCreate(t, "good")
			bad := w.mustCreate(t, "bad")
			assert.NilError(t, os.WriteFile(w.recordPath(bad), damage, 0o600))
			w.reopen(t)
			w.mustStart(t, "good")
			s := w.snapshot(t, bad)
			assert.Equal(t, s.State.Status(), container.StateDead)
			assert.Assert(t, s.State.Error != "")
			_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: bad})
			assert.Assert(t, errdefs.IsConflict(err))
			w.mustCreate(t, "bad") // the name is free
			_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: bad})
			assert.NilError(t, err)
			assert.Equal(t, len(w.graph.layers(t)), 2)
		})
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	w := newWorld(t)
	timeout := 3
	id := w.mustCreate(t, "xx", func(in *jobs.CreateIn) {
		in.Config.Labels = map[string]string{"a": "b"}
		in.Config.StopTimeout = &timeout
		in.HostConfig.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 4}
		in.HostConfig.Binds = []string{"/tmp:/t:ro"}
	})
	before := w.snapshot(t, "xx")
	w.reopen(t)
	after := w.snapshot(t, "xx")
	assert.DeepEqual(t, after.Config, before.Config)
	assert.DeepEqual(t, after.HostConfig.RestartPolicy, before.HostConfig.RestartPolicy)
	assert.DeepEqual(t, after.Mounts, before.Mounts)
	assert.DeepEqual(t, after.Args, before.Args)
	assert.Assert(t, after.Created.Equal(before.Created))
	info, err := os.Stat(filepath.Join(w.dir, id, "container.json"))
	assert.NilError(t, err)
	assert.Equal(t, info.Mode().Perm(), os.FileMode(0o600))
	info, err = os.Stat(filepath.Join(w.dir, id))
	assert.NilError(t, err)
	assert.Equal(t, info.Mode().Perm(), os.FileMode(0o710))
}

func TestAFailedCreateLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.graph.failWith("CreateReadWrite", errors.New("disk full"))
	_, err := w.tryCreate("xx")
	assert.ErrorContains(t, err, "disk full")
	assert.Equal(t, len(w.List()), 0)
	entries, err := os.ReadDir(w.dir)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 0)
	w.graph.failWith("CreateReadWrite", nil)
	w.mustCreate(t, "xx")
}

func TestAStartThatWasCutOffBeforeTheProgramRanIsTakenBack(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	// What is there when the daemon dies between Create and Start of the runtime.
	ct, err := w.find("xx")
	assert.NilError(t, err)
	r := &run{c: w.Containers, ct: ct, s: ct.Snapshot()}
	for _, step := range []func(context.Context) error{r.mountRootfs, r.prepare, r.writeBundle, r.record, r.createProcess} {
		assert.NilError(t, step(ctx))
	}
	assert.NilError(t, <-r.saved)
	w.reopen(t)
	s := w.snapshot(t, id)
	assert.Equal(t, s.State.Status(), container.StateCreated)
	assert.Equal(t, w.runtime.count(), 0)
	w.mustStart(t, "xx")
	assert.Equal(t, w.snapshot(t, id).Runs, 1)
}

func TestAPauseThatWasCutOffEnds(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "cut")
	asked := w.mustCreate(t, "asked")
	w.mustStart(t, "cut")
	w.mustStart(t, "asked")
	_, err := jobs.Pause.Run(ctx, w.eng, jobs.PauseIn{Container: "asked"})
	assert.NilError(t, err)
	// As a commit leaves it whose daemon is killed.
	ct, err := w.find("cut")
	assert.NilError(t, err)
	assert.NilError(t, w.freeze(ctx, ct, true))
	w.reopen(t)
	s := w.snapshot(t, "cut")
	assert.Assert(t, s.State.Running && !s.State.Paused && !s.State.Thaw)
	assert.Assert(t, !w.runtime.procs[id].paused)
	assert.Assert(t, w.snapshot(t, "asked").State.Paused)
	assert.Assert(t, w.runtime.procs[asked].paused)
	// Killed after it was frozen and before that was written.
	ct, err = w.find("cut")
	assert.NilError(t, err)
	ct.update(func(s *Snapshot) { s.State.Thaw = true })
	assert.NilError(t, w.saveUnsynced(ct))
	assert.NilError(t, w.runtime.Pause(ctx, id))
	w.reopen(t)
	s = w.snapshot(t, "cut")
	assert.Assert(t, s.State.Running && !s.State.Paused && !s.State.Thaw)
	assert.Assert(t, !w.runtime.procs[id].paused)
}
