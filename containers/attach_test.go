package containers

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/supervisor/spool"
)

func both(name string) jobs.AttachIn {
	return jobs.AttachIn{Container: name, Stream: true, Stdout: true, Stderr: true}
}

func withStdin(in *jobs.CreateIn) { in.Config.OpenStdin, in.Config.StdinOnce = true, true }

func TestAttachBeforeStartSeesEveryByteOfAShortRun(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", autoRemove)
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	w.mustStart(t, "ada")
	r.print(id, Stdout, "first\npart")
	r.print(id, Stderr, "trouble\n")
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "first\npart")
	assert.Equal(t, cl.stderr(), "trouble\n")
	assert.DeepEqual(t, w.heard.all()[:3], []string{"create", "attach", "start"})
}

func TestAttachToARunningContainerBeginsNowAndShowsPrompts(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	r.print(id, Stdout, "old\n")
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	r.print(id, Stdout, "$ ")
	cl.awaitOut(t, "$ ") // no newline is needed
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "$ ")
}

func TestAttachWithLogsReplaysAndGoesOnWithoutGapOrRepetition(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	r.print(id, Stdout, "one\ntwo\nthr")
	r.print(id, Stderr, "err\n")
	in := both("ada")
	in.Logs = true
	cl := w.attachClient(in)
	cl.awaitOut(t, "thr")
	r.print(id, Stdout, "ee\n")
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "one\ntwo\nthree\n")
	assert.Equal(t, cl.stderr(), "err\n")
}

func TestAttachWithLogsOnlyEnds(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	r.print(id, Stdout, "one\n")
	r.print(id, Stderr, "two\n")
	cl := w.attachClient(jobs.AttachIn{Container: "ada", Logs: true, Stderr: true})
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout()+cl.stderr(), "two\n")
	r.end(id, 0)
}

func TestAttachWithLogsToAStoppedContainerReplaysThenStreamsTheNextRun(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	r.print(id, Stdout, "one\n")
	r.end(id, 0)
	_, err := w.wait("ada", container.WaitConditionNotRunning)
	assert.NilError(t, err)
	in := both("ada")
	in.Logs = true
	cl := w.attachClient(in)
	cl.awaitOut(t, "one\n")
	w.mustStart(t, "ada")
	r.print(id, Stdout, "two\n")
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "one\ntwo\n")
}

func TestAStalledClientStallsNobodyAndMissesNothing(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	slow, quick := w.attachClient(both("ada")), w.attachClient(both("ada"))
	slow.awaitOpen(t)
	quick.awaitOpen(t)
	slow.set(func() { slow.stall = true })
	var want strings.Builder
	for n := 0; want.Len() < 6*spool.Window; n++ { // far more than is kept
		line := fmt.Sprintf("%07d %s\n", n, strings.Repeat("x", 4000))
		want.WriteString(line)
		r.print(id, Stdout, line)
		if n%100 == 0 {
			r.print(id, Stderr, fmt.Sprintf("e%d\n", n))
			quick.awaitOut(t, line) // keeps up while the other stalls
		}
	}
	slow.set(func() { slow.stall = false })
	slow.awaitOut(t, want.String()[want.Len()-4100:])
	r.print(id, Stdout, "the end\n")
	r.end(id, 0)
	for _, cl := range []*client{slow, quick} {
		assert.NilError(t, cl.result(t))
		assert.Assert(t, cl.stdout() == want.String()+"the end\n", "%d bytes of %d", len(cl.stdout()), want.Len())
		assert.Assert(t, strings.HasPrefix(cl.stderr(), "e0\ne100\n"))
		assert.Equal(t, strings.Count(cl.stderr(), "\n"), strings.Count(quick.stderr(), "\n"))
	}
}

func TestAStalledClientGetsBinaryOutputUnchanged(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	cl.set(func() { cl.stall = true })
	w.mustStart(t, "ada")
	random := rand.New(rand.NewPCG(1, 2))
	var want strings.Builder
	for want.Len() < 3*spool.Window {
		chunk := make([]byte, 3000)
		for i := range chunk {
			chunk[i] = byte(random.Uint32())
		}
		want.Write(chunk)
		r.print(id, Stdout, string(chunk))
	}
	cl.set(func() { cl.stall = false })
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Assert(t, cl.stdout() == want.String(), "%d bytes of %d", len(cl.stdout()), want.Len())
}

func TestAStalledClientThatTheLogHasOutrunGoesOnWithWhatIsKept(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", func(in *jobs.CreateIn) {
		in.HostConfig.LogConfig = container.LogConfig{Type: "none"}
	})
	w.mustStart(t, "ada")
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	cl.set(func() { cl.stall = true })
	line := strings.Repeat("y", 9999) + "\n"
	for range 4 * spool.Window / len(line) {
		r.print(id, Stdout, line)
	}
	cl.set(func() { cl.stall = false })
	r.print(id, Stdout, "last\n")
	cl.awaitOut(t, "last\n")
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Assert(t, strings.Contains(cl.stderr(), "bytes of output are missing here"), cl.stderr())
}

func TestAVanishedClientLeavesNothing(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", func(in *jobs.CreateIn) { in.Config.OpenStdin = true })
	w.mustCreate(t, "ben")
	w.mustStart(t, "ada")
	for range 20 {
		in := both("ada")
		in.Stdin = true
		cl := w.attachClient(in)
		cl.awaitOpen(t)
		cl.leave()
		assert.NilError(t, cl.result(t))
		waiting := w.attachClient(both("ben"))
		waiting.awaitOpen(t)
		waiting.leave()
		assert.NilError(t, waiting.result(t))
	}
	r.print(id, Stdout, "still alive\n")
	ct, err := w.find("ben")
	assert.NilError(t, err)
	assert.Equal(t, len(ct.onProc), 0)
	r.end(id, 0)
}

func TestAttachEndsWhenAContainerIsRemovedThatNeverRan(t *testing.T) {
	noLeak(t)
	w, _ := newStreamsWorld(t)
	w.mustCreate(t, "ada")
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	_, err := jobs.Rm.Run(t.Context(), w.eng, jobs.RmIn{Container: "ada"})
	assert.NilError(t, err)
	assert.NilError(t, cl.result(t))
}

func TestAttachEndsWhenTheStartFailsHalfway(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	w.mustCreate(t, "ada")
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	r.failWith("Start", ErrNoProgram)
	_, err := jobs.Start.Run(t.Context(), w.eng, jobs.StartIn{Container: "ada"})
	assert.Assert(t, err != nil)
	assert.NilError(t, cl.result(t))
}

func TestStdinOfOneClientEndsWithIt(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", withStdin)
	in := both("ada")
	in.Stdin = true
	cl := w.attachClient(in)
	cl.awaitOpen(t)
	w.mustStart(t, "ada")
	io.WriteString(cl.stdin, "typed\n")
	got := readFrom(t, r.stdin[id], len("typed\n"))
	assert.Equal(t, got, "typed\n")
	cl.stdin.Close()
	r.awaitCall(t, "CloseStdin")
	r.print(id, Stdout, "answer\n") // the end of stdin is not the end of the session
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "answer\n")
}

func TestWithoutStdinOnceTheEndOfStdinEndsNothing(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", func(in *jobs.CreateIn) { in.Config.OpenStdin = true })
	w.mustStart(t, "ada")
	in := both("ada")
	in.Stdin = true
	cl := w.attachClient(in)
	cl.awaitOpen(t)
	io.WriteString(cl.stdin, "typed")
	cl.stdin.Close()
	assert.Equal(t, readFrom(t, r.stdin[id], 5), "typed")
	r.print(id, Stdout, "answer\n")
	cl.awaitOut(t, "answer\n")
	assert.Assert(t, !slices.Contains(r.seenCalls(), "CloseStdin"))
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
}

func TestAStalledClientGetsAllOfAContainerThatIsGone(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", autoRemove)
	cl := w.attachClient(both("ada"))
	cl.awaitOpen(t)
	cl.set(func() { cl.stall = true })
	w.mustStart(t, "ada")
	var want strings.Builder
	for n := 0; want.Len() < 4*spool.Window; n++ {
		line := fmt.Sprintf("%07d %s\n", n, strings.Repeat("x", 4000))
		want.WriteString(line)
		r.print(id, Stdout, line)
	}
	r.end(id, 0)
	_, err := w.wait(id, container.WaitConditionRemoved)
	assert.Assert(t, err == nil || errdefs.IsNotFound(err))
	cl.set(func() { cl.stall = false })
	assert.NilError(t, cl.result(t))
	assert.Assert(t, cl.stdout() == want.String(), "%d bytes of %d", len(cl.stdout()), want.Len())
	_, err = os.Stat(w.path(id))
	assert.Assert(t, os.IsNotExist(err), "its folder is still there")
}

func TestAClientThatGoesEndsTheStdinThatWasItsOwn(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", withStdin)
	in := both("ada")
	in.Stdin = true
	cl := w.attachClient(in)
	cl.awaitOpen(t)
	w.mustStart(t, "ada")
	go cl.stdin.Write(make([]byte, 1<<20)) // more than the FIFO holds, and nobody reads it
	readFrom(t, r.stdin[id], 1)
	cl.cancel()
	assert.NilError(t, cl.result(t))
	r.awaitCall(t, "CloseStdin")
	r.end(id, 0)
}

func TestDetachKeysEndTheSessionOfATerminal(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", func(in *jobs.CreateIn) { in.Config.OpenStdin, in.Config.Tty = true, true })
	w.mustStart(t, "ada")
	theirs, ours, err := os.Pipe()
	assert.NilError(t, err)
	defer theirs.Close()
	r.set(func() { r.terminal = ours })
	in := both("ada")
	in.Stdin, in.DetachKeys = true, "ctrl-a,x"
	cl := w.attachClient(in)
	cl.awaitOpen(t)
	io.WriteString(cl.stdin, "ls\x01y\x01")
	io.WriteString(cl.stdin, "xrest")
	assert.NilError(t, cl.result(t))
	assert.Equal(t, readFrom(t, theirs, 4), "ls\x01y")
	assert.Assert(t, slices.Contains(w.heard.all(), "detach"))
	assert.Assert(t, w.snapshot(t, "ada").State.Running)
	r.end(id, 0)
}

func TestAttachIsRefusedWithDockersWords(t *testing.T) {
	w, _ := newStreamsWorld(t)
	w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	in := both("ada")
	in.DetachKeys = "ctrl-"
	err := w.attachClient(in).result(t)
	assert.Error(t, err, "Invalid detach keys (ctrl-) provided")
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	err = w.attachClient(both("nope")).result(t)
	assert.Error(t, err, "No such container: nope")
	assert.Assert(t, errdefs.IsNotFound(err))
	_, err = jobs.Pause.Run(t.Context(), w.eng, jobs.PauseIn{Container: "ada"})
	assert.NilError(t, err)
	err = w.attachClient(both("ada")).result(t)
	assert.Error(t, err, "container ada is paused, unpause the container before attach")
	assert.Assert(t, errdefs.IsConflict(err))
}

// readFrom reads n bytes from a pipe that may have none yet.
func readFrom(t *testing.T, f *os.File, n int) string {
	t.Helper()
	buf := make([]byte, n)
	for have := 0; have < n; {
		k, err := f.Read(buf[have:])
		if err == io.EOF || (err != nil && os.IsTimeout(err)) || isAgain(err) {
			time.Sleep(time.Millisecond)
			continue
		}
		assert.NilError(t, err)
		have += k
	}
	return string(buf)
}

func isAgain(err error) bool {
	return err != nil && strings.Contains(err.Error(), syscall.EAGAIN.Error())
}

func TestLogsFollowsUntilTheContainerEnds(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", autoRemove)
	w.mustStart(t, "ada")
	r.print(id, Stdout, "one\ntwo\n")
	cl := w.logsClient(jobs.LogsIn{Container: "ada", Stdout: true, Stderr: true, Follow: true, Tail: 1})
	cl.awaitOut(t, "two\n")
	r.print(id, Stdout, "thr") // not a line yet
	r.print(id, Stdout, "ee\n")
	cl.awaitOut(t, "three\n")
	r.print(id, Stdout, "unfinished")
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "two\nthree\nunfinished")
}

func TestLogsOfAStoppedContainerDoNotFollow(t *testing.T) {
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	r.print(id, Stdout, "one\n")
	r.print(id, Stderr, "two\n")
	r.end(id, 0)
	_, err := w.wait("ada", container.WaitConditionNotRunning)
	assert.NilError(t, err)
	cl := w.logsClient(jobs.LogsIn{Container: "ada", Stderr: true, Follow: true, Tail: -1})
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout()+cl.stderr(), "two\n")
}

func TestAClientThatLeavesAFollowLeavesNothing(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada")
	w.mustStart(t, "ada")
	for range 20 {
		cl := w.logsClient(jobs.LogsIn{Container: "ada", Stdout: true, Follow: true, Tail: -1})
		cl.awaitOpen(t)
		cl.leave()
		assert.NilError(t, cl.result(t))
	}
	r.end(id, 0)
}

func TestLogsFollowAcrossRotations(t *testing.T) {
	noLeak(t)
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", func(in *jobs.CreateIn) {
		in.HostConfig.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1k", "max-file": "3"}}
	})
	w.mustStart(t, "ada")
	cl := w.logsClient(jobs.LogsIn{Container: "ada", Stdout: true, Follow: true, Tail: -1})
	cl.awaitOpen(t)
	var want strings.Builder
	for n := range 200 {
		line := fmt.Sprintf("line %d\n", n)
		want.WriteString(line)
		r.print(id, Stdout, line)
		cl.awaitOut(t, line)
	}
	r.end(id, 0)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), want.String())
}

func TestLogsAreRefusedWithDockersWords(t *testing.T) {
	w, _ := newStreamsWorld(t)
	w.mustCreate(t, "ada", func(in *jobs.CreateIn) { in.HostConfig.LogConfig = container.LogConfig{Type: "none"} })
	w.mustCreate(t, "ben")
	err := w.logsClient(jobs.LogsIn{Container: "ada", Stdout: true}).result(t)
	assert.Error(t, err, "configured logging driver does not support reading")
	assert.Assert(t, errdefs.IsNotImplemented(err))
	err = w.logsClient(jobs.LogsIn{Container: "ben"}).result(t)
	assert.Error(t, err, "Bad parameters: you must choose at least one stream")
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	cl := w.logsClient(jobs.LogsIn{Container: "ben", Stdout: true, Follow: true, Tail: -1})
	assert.NilError(t, cl.result(t)) // never started: empty
}
