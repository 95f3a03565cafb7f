package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

var ctx = context.Background()

func TestAContainerRunsEndsAndIsRemoved(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "web")
	assert.Equal(t, w.snapshot(t, "web").State.Status(), container.StateCreated)
	w.mustStart(t, "web")
	s := w.snapshot(t, id[:6])
	assert.Equal(t, s.State.Status(), container.StateRunning)
	assert.Equal(t, s.Runs, 1)
	_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "web"})
	assert.Assert(t, errdefs.IsNotModified(err))

	w.runtime.exit(id, 3)
	out, err := w.wait("web", container.WaitConditionNotRunning)
	assert.NilError(t, err)
	assert.Equal(t, out.StatusCode, int64(3))
	s = w.snapshot(t, "web")
	assert.Equal(t, s.State.Status(), container.StateExited)
	assert.Assert(t, !s.State.FinishedAt.IsZero())
	assert.Equal(t, w.graph.inUse(), 0)

	_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "web"})
	assert.NilError(t, err)
	_, err = w.find("web")
	assert.Error(t, err, "No such container: web")
	assert.Equal(t, len(w.graph.layers(t)), 0)
	assert.Equal(t, w.runtime.count(), 0)
	assert.Equal(t, strings.Join(w.heard.all(), ","), "create,start,die exitCode=3,destroy")
}

func TestAutoRemoveGoesByItselfAndWaitersLearnTheCode(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "job", autoRemove)
	got := make(chan jobs.WaitOut, 2)
	var opened sync.WaitGroup
	for _, condition := range []container.WaitCondition{container.WaitConditionNextExit, container.WaitConditionRemoved} {
		opened.Add(1)
		go func() {
			out, err := jobs.Wait.Run(ctx, w.eng, jobs.WaitIn{Container: "job", Condition: condition}, func(jobs.WaitOpen) (s engine.Streams, err error) {
				opened.Done()
				return s, nil
			})
			assert.Check(t, err)
			got <- out
		}()
	}
	opened.Wait()
	w.mustStart(t, "job")
	w.runtime.exit(id, 7)
	assert.Equal(t, (<-got).StatusCode, int64(7))
	assert.Equal(t, (<-got).StatusCode, int64(7))
	_, err := w.find("job")
	assert.Assert(t, errdefs.IsNotFound(err))
	_, err = os.Stat(w.path(id))
	assert.Assert(t, os.IsNotExist(err))
	assert.Equal(t, len(w.graph.layers(t)), 0)
	assert.Equal(t, strings.Join(w.heard.all(), ","), "create,start,die exitCode=7,destroy")
}

func TestStopAsksFirstAndKillsWhenTimeIsUp(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "deaf")
	w.mustStart(t, "deaf")
	w.runtime.ignore[syscall.SIGTERM] = true
	zero := 0
	_, err := jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: "deaf", Timeout: &zero})
	assert.NilError(t, err)
	assert.Equal(t, w.snapshot(t, "deaf").State.ExitCode, 137)
	assert.Equal(t, strings.Join(w.heard.all(), ","), "create,start,kill signal=15,kill signal=9,die exitCode=137,stop")
	_, err = jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: "deaf"})
	assert.Assert(t, errdefs.IsNotModified(err))
	assert.Assert(t, w.snapshot(t, "deaf").ManualStop)
}

// Whoever starts a container is not told of a failure because somebody else ended it at once.
func TestAnEndBeforeTheProgramRunsIsNoFailureOfTheRuntime(t *testing.T) {
	for _, row := range []struct {
		what string
		end  func(w *world) error
		want func(error) bool
	}{
		{"stop", func(w *world) error {
			_, err := jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: "brief"})
			return err
		}, func(err error) bool { return err == nil }},
		{"rm", func(w *world) error {
			_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "brief", Force: true})
			return err
		}, errdefs.IsConflict},
	} {
		t.Run(row.what, func(t *testing.T) {
			w := newWorld(t)
			id := w.mustCreate(t, "brief")
			over := make(chan error, 1)
			w.runtime.before = func() {
				go func() { over <- row.end(w) }()
				for killed := false; !killed; time.Sleep(time.Millisecond) {
					w.runtime.mu.Lock()
					killed = w.runtime.procs[id].status == "exited"
					w.runtime.mu.Unlock()
				}
			}
			_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "brief"})
			assert.Assert(t, row.want(err), "%v", err)
			assert.NilError(t, <-over)
			if row.what == "stop" {
				assert.Equal(t, w.snapshot(t, "brief").State.ExitCode, 143)
			}
		})
	}
}

func TestStopSendsTheContainersOwnSignal(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "own", func(in *jobs.CreateIn) { in.Config.StopSignal = "SIGINT" })
	w.mustStart(t, "own")
	_, err := jobs.Stop.Run(ctx, w.eng, jobs.StopIn{Container: "own"})
	assert.NilError(t, err)
	assert.Equal(t, w.snapshot(t, "own").State.ExitCode, 130)
}

func TestRestartKeepsAContainerWithAutoRemove(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "again", autoRemove)
	w.mustStart(t, "again")
	_, err := jobs.Restart.Run(ctx, w.eng, jobs.RestartIn{Container: "again"})
	assert.NilError(t, err)
	s := w.snapshot(t, id)
	assert.Assert(t, s.State.Running)
	assert.Equal(t, s.Runs, 2)
	assert.Equal(t, strings.Join(w.heard.all(), ","), "create,start,kill signal=15,die exitCode=143,stop,start,restart")
}

func TestRmRefusesWhatRunsUnlessForced(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "busy")
	w.mustStart(t, "busy")
	_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "busy"})
	assert.Assert(t, errdefs.IsConflict(err))
	assert.Error(t, err, "You cannot remove a running container "+id+". Stop the container before attempting removal or force remove")
	_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "busy", Force: true})
	assert.NilError(t, err)
	assert.Equal(t, strings.Join(w.heard.all(), ","), "create,start,kill signal=9,die exitCode=137,destroy")
}

func TestAPausedContainerCanBeKilled(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "ice")
	w.mustStart(t, "ice")
	_, err := jobs.Pause.Run(ctx, w.eng, jobs.PauseIn{Container: "ice"})
	assert.NilError(t, err)
	s := w.snapshot(t, "ice")
	assert.Equal(t, s.State.Status(), container.StatePaused)
	assert.Assert(t, s.State.Running)
	_, err = jobs.Pause.Run(ctx, w.eng, jobs.PauseIn{Container: "ice"})
	assert.Assert(t, errdefs.IsConflict(err))
	_, err = jobs.Kill.Run(ctx, w.eng, jobs.KillIn{Container: "ice"})
	assert.NilError(t, err)
	assert.Equal(t, w.snapshot(t, "ice").State.ExitCode, 137)
	_, err = jobs.Unpause.Run(ctx, w.eng, jobs.UnpauseIn{Container: "ice"})
	assert.Assert(t, errdefs.IsConflict(err))
}

func TestAFailedStepOfStartTakesEverythingBack(t *testing.T) {
	for step, prepare := range map[string]func(*world){
		"mount the layer":    func(w *world) { w.graph.failWith("Get", errors.New("no")) },
		"create the process": func(w *world) { w.runtime.failWith("Create", errors.New("no")) },
		"let it run":         func(w *world) { w.runtime.failWith("Start", errors.New("no")) },
	} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			id := w.mustCreate(t, "xx")
			prepare(w)
			_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "xx"})
			assert.ErrorContains(t, err, "no")
			s := w.snapshot(t, "xx")
			assert.Equal(t, s.State.Status(), container.StateCreated)
			assert.Equal(t, s.State.ExitCode, 128)
			assert.Assert(t, s.State.Error != "")
			assert.Equal(t, s.Runs, 0)
			assert.Equal(t, w.graph.inUse(), 0)
			assert.Equal(t, w.runtime.count(), 0)
			ct, _ := w.find("xx")
			assert.Assert(t, ct.Proc() == nil)
			_, err = os.Stat(w.bundle(id))
			assert.Assert(t, os.IsNotExist(err))

			// The cause gone, it starts.
			w.graph.failWith("Get", nil)
			w.runtime.failWith("Create", nil)
			w.runtime.failWith("Start", nil)
			w.mustStart(t, "xx")
			assert.Equal(t, w.snapshot(t, "xx").State.Error, "")
		})
	}
}

func TestAMissingProgramIs127AndAClientsFault(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	for _, row := range []struct {
		class error
		code  int
	}{{ErrNoProgram, 127}, {ErrNotExecutable, 126}} {
		w.runtime.failWith("Create", fmt.Errorf(`unable to start container process: exec: "x": %w`, row.class))
		_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "xx"})
		assert.Assert(t, errdefs.IsInvalidArgument(err))
		assert.Error(t, err, `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "x": `+row.class.Error()+`: unknown`)
		assert.Equal(t, w.snapshot(t, "xx").State.ExitCode, row.code)
	}
	out, err := w.wait("xx", "")
	assert.NilError(t, err)
	assert.Equal(t, out.StatusCode, int64(126))
	assert.Assert(t, out.Error != nil)
}

func TestAContainerWithAutoRemoveThatCanNotStartIsRemoved(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx", autoRemove)
	w.runtime.failWith("Create", errors.New("no"))
	_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "xx"})
	assert.ErrorContains(t, err, "no")
	_, err = w.find("xx")
	assert.Assert(t, errdefs.IsNotFound(err))
	assert.Equal(t, len(w.graph.layers(t)), 0)
}

func TestRenameMovesTheNameAndKeepsOthersOut(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "old")
	w.mustCreate(t, "other")
	_, err := jobs.ContainerRename.Run(ctx, w.eng, jobs.ContainerRenameIn{Container: "old", Name: "other"})
	assert.Assert(t, errdefs.IsConflict(err))
	_, err = jobs.ContainerRename.Run(ctx, w.eng, jobs.ContainerRenameIn{Container: "old", Name: "new"})
	assert.NilError(t, err)
	ct, err := w.find("/new")
	assert.NilError(t, err)
	assert.Equal(t, ct.ID(), id)
	_, err = w.find("old")
	assert.Assert(t, errdefs.IsNotFound(err))
	assert.Equal(t, w.mustCreate(t, "old") != "", true)
	w.reopen(t)
	assert.Equal(t, w.snapshot(t, "new").ID, id)
}

func TestANameThatLooksLikeAnotherContainersIdDoesNotCaptureIt(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "victim")
	trap := w.mustCreate(t, id)
	ct, err := w.find(id)
	assert.NilError(t, err)
	assert.Equal(t, ct.ID(), id)
	ct, err = w.find("/" + id)
	assert.NilError(t, err)
	assert.Equal(t, ct.ID(), trap)
}

func TestOnlyOneOfManyGetsTheName(t *testing.T) {
	w := newWorld(t)
	var wins, losses int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := w.tryCreate("one")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				wins++
			} else if errdefs.IsConflict(err) {
				losses++
			}
		}()
	}
	wg.Wait()
	assert.Equal(t, wins, 1)
	assert.Equal(t, losses, 19)
	assert.Equal(t, len(w.graph.layers(t)), 1)
}

func TestManyContainersAtOnceLeaveNothing(t *testing.T) {
	w := newWorld(t)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := fmt.Sprintf("c%03d", i)
			change := func(in *jobs.CreateIn) { in.HostConfig.AutoRemove = i%2 == 0 }
			out, err := w.tryCreate(name, change)
			if !assert.Check(t, err) {
				return
			}
			_, err = jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: name})
			assert.Check(t, err)
			if i%2 == 0 {
				ct, err := w.find(name)
				if assert.Check(t, err) {
					w.runtime.exit(out.ID, 0)
					_, err = ct.await(ctx, func(s *Snapshot) bool { return s.State.Removed })
					assert.Check(t, err)
				}
				return
			}
			_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: name, Force: true})
			assert.Check(t, err)
		}()
	}
	wg.Wait()
	w.exited.Wait()
	assert.Equal(t, len(w.List()), 0)
	assert.Equal(t, len(w.graph.layers(t)), 0)
	assert.Equal(t, w.graph.inUse(), 0)
	assert.Equal(t, w.runtime.count(), 0)
	entries, err := os.ReadDir(w.dir)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 0)
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	assert.Assert(t, runtime.NumGoroutine() <= before+2, "goroutines: %d before, %d after", before, runtime.NumGoroutine())
}

func TestTwoRemovalsDoNotBothWin(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	w.mustStart(t, "xx")
	var wg sync.WaitGroup
	errsSeen := make([]error, 10)
	for i := range errsSeen {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errsSeen[i] = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx", Force: true})
		}()
	}
	wg.Wait()
	won := 0
	for _, err := range errsSeen {
		if err == nil {
			won++
		} else {
			assert.Assert(t, errdefs.IsConflict(err) || errdefs.IsNotFound(err), "%v", err)
		}
	}
	assert.Equal(t, won, 1)
}

func TestAFailedRemovalIsShownAsDeadAndCanBeRepeated(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	w.graph.failWith("Remove", errors.New("busy"))
	_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
	assert.ErrorContains(t, err, "busy")
	assert.Equal(t, w.snapshot(t, "xx").State.Status(), container.StateDead)
	_, err = jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "xx"})
	assert.Assert(t, errdefs.IsConflict(err))
	w.graph.failWith("Remove", nil)
	_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
	assert.NilError(t, err)
}

func TestWaitersDoNotOutliveTheirClients(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := jobs.Wait.Run(ctx, w.eng, jobs.WaitIn{Container: "xx", Condition: container.WaitConditionNextExit}, func(jobs.WaitOpen) (s engine.Streams, err error) {
			cancel()
			return s, nil
		})
		done <- err
	}()
	assert.ErrorIs(t, <-done, context.Canceled)
}

func TestAStuckContainerKeepsNobodyElseWaiting(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "stuck")
	id := w.mustCreate(t, "fine")
	w.mustStart(t, "fine")
	w.runtime.stuck = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "stuck"})
		started <- err
	}()
	for len(mustFind(t, w, "stuck").turn) == 0 {
		runtime.Gosched()
	}
	assert.Equal(t, len(w.List()), 2)
	assert.Equal(t, w.snapshot(t, "stuck").State.Status(), container.StateCreated)
	w.runtime.exit(id, 0)
	_, err := w.wait("fine", "")
	assert.NilError(t, err)
	_, err = jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "fine"})
	assert.NilError(t, err)
	// Whoever wants the stuck one's turn can give up.
	short, cancel := context.WithCancel(ctx)
	cancel()
	_, err = jobs.Pause.Run(short, w.eng, jobs.PauseIn{Container: "stuck"})
	assert.ErrorIs(t, err, context.Canceled)
	close(w.runtime.stuck)
	assert.NilError(t, <-started)
}

func mustFind(t *testing.T, w *world, name string) *Container {
	t.Helper()
	ct, err := w.find(name)
	assert.NilError(t, err)
	return ct
}

func TestALogIsKeptForAReaderOfARemovedContainer(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx", autoRemove)
	release := w.hold(mustFind(t, w, "xx"))
	log := w.snapshot(t, "xx").LogPath
	assert.NilError(t, os.WriteFile(log, []byte("line"), 0o640))
	w.mustStart(t, "xx")
	w.runtime.exit(id, 0)
	_, err := w.wait("xx", container.WaitConditionRemoved)
	assert.Assert(t, err == nil || errdefs.IsNotFound(err))
	w.mustCreate(t, "xx") // the name is free
	text, err := os.ReadFile(log)
	assert.NilError(t, err)
	assert.Equal(t, string(text), "line")
	release()
	release()
	_, err = os.Stat(w.path(id))
	assert.Assert(t, os.IsNotExist(err))
}

func TestWhatAReaderHoldsIsGoneAfterAReboot(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	w.hold(mustFind(t, w, "xx"))
	_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
	assert.NilError(t, err)
	_, err = os.Stat(w.path(id))
	assert.NilError(t, err)
	w.reopen(t)
	assert.Equal(t, len(w.List()), 0)
	_, err = os.Stat(w.path(id))
	assert.Assert(t, os.IsNotExist(err))
}

func TestAContainerThatIsBeingRemovedDoesNotStart(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	ct := mustFind(t, w, "xx")
	w.runtime.stuck = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "xx"})
		started <- err
	}()
	for len(ct.turn) == 0 {
		runtime.Gosched()
	}
	removed := make(chan error, 1)
	go func() {
		_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
		removed <- err
	}()
	_, err := ct.await(ctx, func(s *Snapshot) bool { return s.State.Removing })
	assert.NilError(t, err)
	close(w.runtime.stuck)
	assert.Assert(t, errdefs.IsConflict(<-started))
	assert.NilError(t, <-removed)
	assert.Equal(t, w.runtime.count(), 0)
	assert.Equal(t, w.graph.inUse(), 0)
	assert.Equal(t, len(w.List()), 0)
}
